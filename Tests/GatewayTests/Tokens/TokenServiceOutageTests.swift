import OAuth
import Testing

@testable import Gateway

/// What callers and token services get of it all, over several seeds.
struct TokenServiceOutageTests {
  private static let seeds: Range<UInt64> = 0..<12
  /// Exchanges wanted in ten milliseconds: 100 a second.
  private static let wanted = 1

  /// Runs from one time to another, in seconds.
  private func run(_ model: inout TokenServiceModel, _ from: Int64, _ to: Int64) {
    for now in stride(from: from * 1_000, to: to * 1_000, by: 10) {
      model.step(nowMs: now, wanted: Self.wanted)
    }
  }

  @Test func `after an outage of 30 s nearly all is well within 10 s, whatever it was like`() {
    for seed in Self.seeds {
      var model = TokenServiceModel(seed: seed, .init(failing: 0))
      run(&model, 0, 5)
      // Refused at once, or never answered.
      let isSilent = seed % 2 == 1
      model.weather = .init(failing: 1, latencyMs: isSilent ? model.timeoutMs : 10)
      // It returns at whatever time after it was last tried.
      let backS = 35 + Int64(seed / 2 % 5)
      run(&model, 5, backS)
      // Where exchanges alone take 80 % of the calls there may be (100 a second, each of half a
      // second), the calls must have risen first.
      let isTight = seed % 3 == 0
      model.weather = .init(failing: 0, latencyMs: isTight ? 510 : 20)
      run(&model, backS, backS + 25)
      let after = model.ended.filter { $0.key >= backS + (isTight ? 15 : 10) }.values
      let (all, well) = after.reduce((0, 0)) { ($0.0 + $1.all, $0.1 + $1.well) }
      #expect(Double(well) >= 0.99 * Double(all), "seed \(seed): \(well) of \(all)")
      #expect(model.service.share(nowMs: 65_000) == 1, "seed \(seed)")
      #expect(model.trialsAtOnceMax <= 1 && model.excess == 0, "seed \(seed)")
      // In the outage it was tried now and then, and no more.
      let tried = model.calls.filter { (10..<35).contains($0.key) }.values.map(\.all).reduce(0, +)
      #expect((2...12).contains(tried), "seed \(seed): \(tried)")
    }
  }

  @Test func `a service that takes a part is sent twice that, and serves all when it is well`() {
    for seed in Self.seeds {
      var model = TokenServiceModel(
        seed: seed, .init(failing: 0), breaker: .init(failures: 0, cooldownMs: 5_000))
      run(&model, 0, 5)
      model.weather = .init(failing: 0, capacity: 20)
      run(&model, 5, 65)
      let worst = model.calls.filter { (35..<65).contains($0.key) }.values
      let sent = worst.map(\.all).reduce(0, +)
      let taken = worst.map(\.taken).reduce(0, +)
      #expect(sent <= taken * 5 / 2 + 60, "seed \(seed): \(sent) for \(taken)")
      #expect(taken >= 30 * 20 * 8 / 10, "seed \(seed): what it takes is used: \(taken)")
      model.weather = .init(failing: 0)
      run(&model, 65, 85)
      let after = model.ended.filter { $0.key >= 75 }.values
      let (all, well) = after.reduce((0, 0)) { ($0.0 + $1.all, $0.1 + $1.well) }
      #expect(Double(well) >= 0.99 * Double(all), "seed \(seed): \(well) of \(all)")
    }
  }

  @Test func `without a breaker a dead service is still tried, and its return is noticed`() {
    for seed in Self.seeds {
      var model = TokenServiceModel(
        seed: seed, .init(failing: 1, latencyMs: 10),
        breaker: .init(failures: 0, cooldownMs: 5_000))
      run(&model, 0, 30)
      for second in 11..<30 as Range<Int64> {
        let tried = model.calls[second]?.all ?? 0
        #expect((1...15).contains(tried), "seed \(seed), second \(second): \(tried)")
      }
      model.weather = .init(failing: 0)
      run(&model, 30, 55)
      let after = model.ended.filter { $0.key >= 40 }.values
      let (all, well) = after.reduce((0, 0)) { ($0.0 + $1.all, $0.1 + $1.well) }
      #expect(Double(well) >= 0.99 * Double(all), "seed \(seed): \(well) of \(all)")
    }
  }

  @Test func `whatever the weather, no more than one tries and nobody is forgotten`() {
    for seed in Self.seeds {
      var model = TokenServiceModel(
        seed: seed, .init(failing: 0), breaker: .init(failures: 3, cooldownMs: 700))
      for second in 0..<60 as Range<Int64> {
        if model.chance() < 0.3 {
          let kind = model.chance()
          model.weather = .init(
            failing: kind < 0.4 ? 0 : kind < 0.7 ? 1 : model.chance(),
            latencyMs: Int64(10 + 3_000 * model.chance() * model.chance()))
        }
        run(&model, second, second + 1)
      }
      #expect(model.trialsAtOnceMax <= 1 && model.excess == 0, "seed \(seed)")
      model.weather = .init(failing: 0)
      run(&model, 60, 85)
      let after = model.ended.filter { $0.key >= 72 }.values
      let (all, well) = after.reduce((0, 0)) { ($0.0 + $1.all, $0.1 + $1.well) }
      #expect(Double(well) >= 0.99 * Double(all), "seed \(seed): \(well) of \(all)")
    }
  }
}
