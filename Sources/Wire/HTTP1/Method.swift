/// A request method (RFC 9110 §9). Case counts: `get` is `other`.
package enum Method: UInt8, Sendable, CaseIterable {
  case get, head, post, put, delete, connect, options, trace, patch
  /// Any other token; the head's `methodRange` has its bytes.
  case other

  /// The method that `bytes` are, which must be a token of at least one byte.
  init(_ bytes: Span<UInt8>) {
    guard bytes.count <= 8 else {
      self = .other
      return
    }
    var packed: UInt64 = 0
    var index = 0
    while index < bytes.count {
      packed = packed << 8 | UInt64(bytes[index])
      index &+= 1
    }
    switch packed {
    case 0x47_4554: self = .get
    case 0x4845_4144: self = .head
    case 0x504F_5354: self = .post
    case 0x50_5554: self = .put
    case 0x4445_4C45_5445: self = .delete
    case 0x43_4F4E_4E45_4354: self = .connect
    case 0x4F_5054_494F_4E53: self = .options
    case 0x54_5241_4345: self = .trace
    case 0x50_4154_4348: self = .patch
    default: self = .other
    }
  }

  /// Upper case, as it is sent; nil for `other`.
  package var name: String? {
    switch self {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .delete: "DELETE"
    case .connect: "CONNECT"
    case .options: "OPTIONS"
    case .trace: "TRACE"
    case .patch: "PATCH"
    case .other: nil
    }
  }

  /// RFC 9110 §9.2.2: sending it twice has the effect of sending it once.
  package var isIdempotent: Bool {
    switch self {
    case .get, .head, .put, .delete, .options, .trace: true
    case .post, .connect, .patch, .other: false
    }
  }
}
