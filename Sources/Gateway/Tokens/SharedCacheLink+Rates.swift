import Crypto
import HTTP
import OAuth
import Reactor
import Wire

extension SharedCacheLink {
  /// Takes a request's places in limits that all gateways count together: all of them or none, in
  /// one script and by the server's clock.
  ///
  /// Names are keyed digests like those of tokens: the server learns neither who calls nor what.
  ///
  /// - Returns: 0 where there is room, or where that could not be found out in time; else
  ///   nanoseconds until there is some.
  func take(_ takes: [RateTake], waiter: Waiter) async -> Int64 {
    let command: [[UInt8]]
    do throws(CryptoFault) {
      command = try rateCommand(takes)
    } catch {
      // Without digests nothing works; the gateway's own count decides.
      return 0
    }
    guard let reply = await reply(to: command, waiter, shared.settings.timeoutMs) else { return 0 }
    guard case .integer(let waitUs) = reply, waitUs >= 0 else {
      shared.noteNonsense()
      return 0
    }
    return min(waitUs, Int64.max / 1_000) * 1_000
  }

  private func rateCommand(_ takes: [RateTake]) throws(CryptoFault) -> [[UInt8]] {
    var names: [[UInt8]] = []
    var arguments: [[UInt8]] = []
    for take in takes {
      names.append(try shared.seal.names(of: take.key)[0] + Array(":rate".utf8))
      arguments.append(Array("\(max(1, take.intervalNs / 1_000))".utf8))
      arguments.append(Array("\(take.toleranceNs / 1_000)".utf8))
    }
    let count = Array("\(names.count)".utf8)
    return [Array("EVAL".utf8), Self.rateScript, count] + names + arguments
  }

  /// In microseconds, which a script's numbers hold exactly.
  private static let rateScript = Array(
    """
    local clock = redis.call('TIME')
    local now = clock[1] * 1000000 + clock[2]
    local wait = 0
    local paid = {}
    for i = 1, #KEYS do
      local due = tonumber(redis.call('GET', KEYS[i]) or now)
      if due < now then due = now end
      local early = due - now - tonumber(ARGV[2 * i])
      if early > wait then wait = early end
      paid[i] = due + tonumber(ARGV[2 * i - 1])
    end
    if wait > 0 then return math.ceil(wait) end
    for i = 1, #KEYS do
      local life = math.ceil((paid[i] - now) / 1000)
      redis.call('SET', KEYS[i], string.format('%.0f', paid[i]), 'PX', life)
    end
    return 0
    """.utf8)
}
