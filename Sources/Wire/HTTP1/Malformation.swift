/// Why a message's head or body is no HTTP/1.1, or is HTTP that two readers could read in two ways.
///
/// One closed list for requests, responses and chunks. The raw value is what a log shows: it names
/// the rule and never repeats a byte of what was sent.
package enum Malformation: String, Error, Sendable {
  // Lines
  case bareCarriageReturn = "a CR that no LF follows"
  case bareLineFeed = "a line ends in LF alone"
  case controlCharacter = "a control character"
  // Request line and status line
  case requestLineInvalid = "the request line is not METHOD SP TARGET SP VERSION"
  case methodInvalid = "the method is not a token"
  case targetInvalid = "the request target has a character that must be escaped"
  case targetFormInvalid = "the request target has a form that its method does not allow"
  case statusLineInvalid = "the status line is not VERSION SP STATUS SP REASON"
  case handshake = "it begins as TLS does, and HTTP is spoken here"
  // Field lines
  case foldedLine = "a field line begins with whitespace (obs-fold)"
  case colonMissing = "a field line without a colon"
  case spaceBeforeColon = "whitespace before a field's colon"
  case fieldNameInvalid = "a field name is empty or not a token"
  case connectionOptionInvalid = "Connection holds something that is no token, or too many"
  // Authority
  case hostMissing = "HTTP/1.1 without Host"
  case hostRepeated = "more than one Host"
  case hostInvalid = "Host is not a host and port"
  case authorityInvalid = "the request target's authority is not a host and port"
  case authorityDisagrees = "the request target's authority is not the Host"
  // Framing
  case contentLengthInvalid = "Content-Length is not one decimal number"
  case contentLengthRepeated = "more than one Content-Length"
  case transferEncodingInvalid = "Transfer-Encoding does not end in one chunked"
  case transferEncodingInHTTP10 = "Transfer-Encoding in HTTP/1.0"
  case framingAmbiguous = "both Content-Length and Transfer-Encoding"
  case framingDisguised = "Content_Length or Transfer_Encoding, which some take for the real one"
  // Chunks
  case chunkSizeInvalid = "a chunk size is not hexadecimal"
  case chunkSizeTooLarge = "a chunk size beyond what can be counted"
  case chunkLineTooLong = "a chunk's size line is too long"
  case chunkExtensionsTooLong = "more chunk extensions than are read"
  case chunkEndMissing = "no CRLF behind a chunk's data"
}

extension Malformation: CustomStringConvertible {
  package var description: String { rawValue }
}
