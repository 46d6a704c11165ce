/// Every number that bounds something and that no routes file sets: its reason, and what who meets
/// it sees.
package enum Limits {
  /// A server's answer head; more is `upstream_failed`. Cookies of a large site fit.
  package static let answerHeadBytesMax = 64 << 10
  /// Content that is read and dropped after a refusal so that the connection can be kept; with more
  /// to come it closes.
  static let dropContentBytesMax: UInt64 = 64 << 10
  /// A keys document; 100 keys of 8192 bits with their certificates fit.
  static let keysBytesMax = 1 << 20
  static let discoveryBytesMax = 256 << 10
  /// A token service's answer; tokens above that are not sent in a header field.
  static let tokenAnswerBytesMax = 256 << 10
  /// A token service that asks for patience (429) is left alone for as long as it says, and for no
  /// longer than this: one slip of its must not close every service behind the gateway.
  static let patienceMsMax: Int64 = 60_000
  /// A token that the service behind refuses (401) is had anew only where it is older than this: a
  /// service that refuses fresh ones too must not be able to have one exchanged a request.
  static let refusedTokenAgeMsMin: Int64 = 10_000
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
  /// Counts of rate limits kept at once; at some 100 bytes each they bound what a flood of
  /// addresses costs. Beyond, the one that would be nothing soonest begins anew.
  static let rateCountsMax = 256 << 10
  /// Calls to issuers and token services: a connection is tried for so long, kept idle for so
  /// long, and so many at most are kept and opened by one worker.
  static let callConnectTimeoutMs: Int64 = 2_000
  static let callIdleTimeoutMs: Int64 = 30_000
  static let callIdleMax = 16
  static let callConnectionsMax = 256
  static let callQueueMax = 1_024
  /// A request that waits for an answer and may be sent to another server looks so often whether
  /// its own was found out not to answer any more: the caller waits that much longer then.
  static let silenceLookEveryMs: Int64 = 250
  /// Where requests wait for a server's connections, a caller that is too slow with its content or
  /// its answer is told so after this time already, and looked at as often: else as many slow
  /// callers as a server has connections keep everybody from it.
  static let soughtAfterStretchMs: Int64 = 2_000
  static let callResolveEveryMs: Int64 = 30_000
  /// Entries of a worker's own token cache, and entries searched for one token.
  static let workerTokens = 4_096
  static let workerTokenWays = 4
  /// What one connection does before the worker's others have their turn, where it never has to
  /// wait: requests that a caller sent ahead, and bytes of a message. A fraction of a millisecond.
  static let requestsPerTurn = 16
  /// A worker that was behind gives each connection one request in a turn for so many windows more.
  static let tightWindows = 10
  static let bytesPerTurn = 256 << 10
  /// What is logged of a `User-Agent` and of a `jti`; the rest is cut. With heads of 32 KiB a flood
  /// of long ones would push other callers' lines out of the queue.
  static let loggedAgentBytesMax = 1_024
  static let loggedTokenIDBytesMax = 256
  /// Connections accepted before those that are there have their turn; the fewer while these wait:
  /// the others wait with the kernel, and are connected when they come to their turn.
  static let acceptsPerTurn = 64
  static let acceptsPerTurnBehind = 8
  /// Access log lines that wait for the disk: four seconds of 10,000 lines of 400 bytes. A short
  /// stall costs nothing, a long one not memory; what does not fit is dropped and counted.
  static let logQueuedBytesMax = 16 << 20
  /// The same of lines for the operator, which are few.
  static let saidBytesMax = 256 << 10
  /// At the end the access log has so long to be written; with a collector that stands still the
  /// rest of it is lost.
  static let logEndMs: Int64 = 2_000
  /// A reload waits for each worker to take it up, for so long at most: they do at their next turn.
  static let adoptMs: Int64 = 10_000
  /// Whoever asks the admin address for a reload is told its outcome, or after so long that there
  /// is none yet: certificates of thousands of listeners take some seconds.
  static let reloadMs: Int64 = 60_000
  /// A process that has taken over is looked on for so long by the one before, which comes back if
  /// it dies. What dies of real traffic does so with the first of it; and the one before is there
  /// for that time anyway, to end its callers' connections softly.
  package static let probationMs: Int64 = leaveSoftlyMs
  /// Where both are told to end at once, the one before waits for the other for so long.
  package static let atOnceMs: Int64 = 5_000
  /// The new one waits for so long to be told that it is over, longer than it takes: then whoever
  /// looks on stands still.
  package static let probationMsMax: Int64 = 2 * probationMs
  /// A process whose doors another has taken over ends connections after their next answer, and
  /// those that still idle after so long: a caller may be sending on any of them just now.
  package static let leaveSoftlyMs: Int64 = 5_000
  /// Connections over `limits.connections` that are being told so at once, by each worker; more are
  /// closed without a word. Who is told has so long in all, and so long without a byte, to take it.
  static let shedsMax = 256
  static let shedLingerMs: Int64 = 2_000
  static let shedQuietMs: Int64 = 1_000
  /// Over TLS to be told costs a handshake, a millisecond of RSA: so many in a second by each
  /// worker, to those who don't let it wait longer.
  static let shedHandshakesPerSecond = 50
  static let shedHandshakeMs: Int64 = 2_000
  /// Where there is no connection left, one that has idled for longer than this, or whose TLS
  /// handshake has not ended after it, gives way to a new one: thousands that idle must not keep
  /// callers out, and in a second few callers come back.
  static let giveWayAfterMs: Int64 = 5_000
  /// Where callers' connections are nearly as many as may be, it is looked so often whether they
  /// still are; then those that idle for longer than a quarter of their time end, and some that are
  /// in use with their next answer, so that their callers may come out elsewhere. Few at once by
  /// each worker: most come back, over TLS at a millisecond each.
  static let reliefEveryMs: Int64 = 250
  static let reliefIdlersMax = 1_024
  static let reliefClosesMax = 32
  /// Who is turned away for others' number is to come again after one to so many seconds.
  static let retryAfterSecondsMax = 3
  /// The operator is told at most so often, by each worker, how many that were.
  static let shedReportEveryMs: Int64 = 10_000
  /// With so many times an exchange's `concurrency` waiting for a call, who came last is next: of
  /// a queue that long the others' time is over before they come to their turn.
  static let exchangesInOrder = 16
  /// At the process's end tunnels that nobody ends are ended so long before `shutdown.grace` is
  /// over: time for a close to reach the callers and for their lines to reach the log.
  static let tunnelFarewellMs: Int64 = 1_500
  /// After EMFILE and the like no connection is accepted for so long.
  static let acceptPauseMs: Int64 = 100
  /// Buffers that were not needed for so long give their memory back.
  static let trimEveryMs: Int64 = 10_000
  /// The operator is told at most so often that connections can't be accepted. No more are tried
  /// for `acceptPauseMs` after `acceptsPerTurn` in a row that could not be had, too.
  static let shortageReportEveryMs: Int64 = 1_000
  /// TLS handshakes under way at one worker; more callers wait, and their deadline runs. A core
  /// ends some 1,300 RSA handshakes a second, so twice as many as that are under way where each
  /// takes 200 ms; at some 35 KiB each they bound what a flood of them costs.
  static let handshakesMax = 512
  /// The same while those who are connected wait: a few still end in each turn's time.
  static let handshakesMaxBehind = 64
  /// While somebody waits, the oldest handshake ends when it took longer than this: who stalls must
  /// not hold a place to the deadline. A caller that means it needs two round trips.
  static let handshakeGraceMs: Int64 = 2_000
  /// Spans that wait for the collector at each worker, some 1,500 of 700 bytes in a MiB: what does
  /// not fit while a batch is under way is dropped and counted.
  static let traceQueuedBytesMax = 2 << 20
  /// A batch is sent at this size, or after `traceDelayMs`: collectors take 4 MiB and more.
  static let traceBatchBytes = 256 << 10
  static let traceDelayMs: Int64 = 1_000
  /// The collector has so long to take a batch (OpenTelemetry's exporters wait as long).
  static let traceTimeoutMs: Int64 = 10_000
  /// A batch that it did not take is sent again after a second, then two, so often in all.
  static let traceAttemptsMax = 3
  static let tracePauseMs: Int64 = 1_000
  static let tracePauseMsMax: Int64 = 30_000
  static let traceAnswerBytesMax = 64 << 10
  /// At the process's end the last spans have so long.
  static let traceEndMs: Int64 = 500
}
