import Crypto
import OAuth
import Synchronization
import HTTP
import Reactor
import Wire
final class TokenCache<Value: Sendable>: Sendable {
  let m = Mutex<[SHA256Digest: (Value, Int64)]>([:])
  func value(for d: SHA256Digest) -> Value? { m.withLock { $0[d]?.0 } }
  func insert(_ v: Value, for d: SHA256Digest, byteCost: Int, endsAtMs: Int64, nowMs: Int64) { m.withLock { $0[d] = (v, endsAtMs) } }
  func remove(_ d: SHA256Digest) { m.withLock { $0[d] = nil } }
}
final class ExchangeFlight: Sendable {}
final class TokenExchanges {
  init(_ t: SharedTokens, worker: Worker, clients: HTTPClients, digester: Digester, loop: EventLoop) {}
  func target(exchange: Int, _ t: ExchangeTarget) -> Int { 0 }
  func token(for: Caller, target: Int, _ request: Request) async throws(Refusal) -> [UInt8] { [] }
  func perform(_ f: ExchangeFlight) async {}
}
