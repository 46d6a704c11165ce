/// Why a text is not the JSON that was asked for, and where it stops being it.
package struct JSONFault: Error, Equatable {
  package let kind: Kind
  /// The bytes at fault; empty at the end of the text.
  package let range: Range<Int>

  /// Where the fault begins, in bytes from the text's first.
  package var offset: Int { range.lowerBound }

  package enum Kind: Equatable, Sendable {
    case tooLong(bytesMax: Int)
    case tooDeep(depthMax: Int)
    case tooManyValues(nodesMax: Int)
    case empty
    case byteOrderMark
    case invalidUTF8
    case commentRefused
    case unclosedComment
    case unclosedString
    case unclosedArray
    case unclosedObject
    case expectedValue
    case expectedMemberName
    case expectedColon
    case expectedCommaOrBracket
    case expectedCommaOrBrace
    case trailingComma
    case trailingBytes
    case duplicateMember
    case singleQuote
    case controlCharacter
    case invalidEscape
    case loneSurrogate
    case invalidNumber
    case invalidLiteral
  }
}

extension JSONFault: CustomStringConvertible {
  package var description: String { "\(kind) (byte \(offset))" }
}

extension JSONFault.Kind: CustomStringConvertible {
  /// What is wrong, for people, without any of the text itself.
  package var description: String {
    switch self {
    case .tooLong(let bytesMax): "longer than \(bytesMax) bytes"
    case .tooDeep(let depthMax): "nested deeper than \(depthMax) levels"
    case .tooManyValues(let nodesMax): "more than \(nodesMax) values"
    case .empty: "nothing here; expected a JSON value"
    case .byteOrderMark: "a byte order mark; JSON has none"
    case .invalidUTF8: "not valid UTF-8"
    case .commentRefused: "comments are not allowed here"
    case .unclosedComment: "this comment is never closed; expected \"*/\""
    case .unclosedString: "this string is not closed on its line; expected '\"'"
    case .unclosedArray: "this list is never closed; expected \"]\""
    case .unclosedObject: "this object is never closed; expected \"}\""
    case .expectedValue: "expected a value"
    case .expectedMemberName: "expected a name in double quotes, or \"}\""
    case .expectedColon: "expected \":\" after the name"
    case .expectedCommaOrBracket: "expected \",\" or \"]\""
    case .expectedCommaOrBrace: "expected \",\" or \"}\""
    case .trailingComma: "a comma with nothing after it"
    case .trailingBytes: "expected nothing more after the value"
    case .duplicateMember: "this name occurs twice in the same object"
    case .singleQuote: "strings are written in double quotes"
    case .controlCharacter: "a control character in a string; write it as \\u00XX"
    case .invalidEscape: "not an escape that JSON knows; a backslash is written \"\\\\\""
    case .loneSurrogate: "half of a surrogate pair"
    case .invalidNumber: "not a number that JSON knows"
    case .invalidLiteral: "expected a JSON value (text stands in double quotes, comments after //)"
    }
  }
}
