import TestSupport
import Testing

@testable import Reactor

struct DescriptorSharesTests {
  @Test(arguments: [
    (64, 48, 56), (256, 208, 240), (1_024, 880, 1_008), (131_072, 114_672, 131_056),
  ])
  func `the last descriptors are for probes, those before for servers`(
    _ count: Int, _ callersEnd: CInt, _ serversEnd: CInt
  ) {
    let shares = DescriptorShares(of: count)
    #expect(shares.callersEnd == callersEnd)
    #expect(shares.serversEnd == serversEnd)
  }

  @Test func `without a limit nobody is refused`() {
    #expect(DescriptorShares(of: .max).callersEnd > 1_000_000_000)
    #expect(DescriptorShares.ofProcess().callersEnd > 0)
  }
}
