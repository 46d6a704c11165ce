/// Every number that bounds something and that no routes file sets: its reason, and what who meets
/// it sees.
package enum Limits {
  /// A server's answer head; more is `upstream_failed`. Cookies of a large site fit.
  package static let answerHeadBytesMax = 64 << 10
  /// From here on content must come at `bodyBytesPerSecondMin`, else `request_timeout`.
  static let slowBodyAfterMs: Int64 = 30_000
  static let bodyBytesPerSecondMin: UInt64 = 1_024
  /// Content that is read and dropped after a refusal so that the connection can be kept; with more
  /// to come it closes.
  static let dropContentBytesMax: UInt64 = 64 << 10
  /// A keys document; 100 keys of 8192 bits with their certificates fit.
  static let keysBytesMax = 1 << 20
  static let discoveryBytesMax = 256 << 10
  /// A token service's answer; tokens above that are not sent in a header field.
  static let tokenAnswerBytesMax = 256 << 10
  /// A sealed entry of the shared cache: a token service's largest token, and what seals it.
  static let sharedEntryBytesMax = tokenAnswerBytesMax + (1 << 10)
  /// Another gateway's exchange under way is looked after so often: at first, and at last.
  static let sharedLookFirstMs: Int64 = 5
  static let sharedLookEveryMs: Int64 = 40
  /// A lock in the shared cache ends by itself after so long, and is renewed so often while the
  /// exchange goes on: that of a gateway that died holds nobody up for longer.
  static let sharedLockMs: Int64 = 600
  static let sharedLockRenewEveryMs: Int64 = 200
  /// A token in a request; also bounded by `limits.headers`.
  static let tokenBytesMax = 16 << 10
  /// Calls to issuers and token services: a connection is tried for so long, kept idle for so
  /// long, and so many at most are kept and opened by one worker.
  static let callConnectTimeoutMs: Int64 = 2_000
  static let callIdleTimeoutMs: Int64 = 30_000
  static let callIdleMax = 16
  static let callConnectionsMax = 256
  static let callQueueMax = 1_024
  /// Requests that wait for one of a server's `maxConnections`; more are `overloaded`.
  static let upstreamQueueMax = 1_024
  static let callResolveEveryMs: Int64 = 30_000
  /// Entries of a worker's own token cache, and entries searched for one token.
  static let workerTokens = 4_096
  static let workerTokenWays = 4
  /// What one connection does before the worker's others have their turn, where it never has to
  /// wait: requests that a caller sent ahead, and bytes of a message. A fraction of a millisecond.
  static let requestsPerTurn = 16
  static let bytesPerTurn = 256 << 10
  /// Connections accepted before those that are there have their turn.
  static let acceptsPerTurn = 64
  /// At the end the access log has so long to be written; with a collector that stands still the
  /// rest of it is lost.
  static let logEndMs: Int64 = 2_000
  /// After EMFILE and the like no connection is accepted for so long.
  static let acceptPauseMs: Int64 = 100
  /// Buffers that were not needed for so long give their memory back.
  static let trimEveryMs: Int64 = 10_000
}
