// swift-tools-version: 6.2
import PackageDescription

let swift: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  // An async function stays on its caller's executor, which is the worker's own thread.
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

// Exclusive access is proven at compile time, and checked at run time in debug builds, where the
// tests run. In release builds the run-time check of every access to an object's property was a
// third of the instructions of a request: each object here belongs to one worker's thread.
let fast: [SwiftSetting] = [
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

// A warning is an error in CI only: the next toolchain warns anew.
let strict: [SwiftSetting] =
  Context.environment["TOLLGATE_STRICT"] == nil ? [] : [.treatAllWarnings(as: .error)]

func module(
  _ name: String, on dependencies: [Target.Dependency], more: [SwiftSetting] = []
) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: swift + fast + strict + more)
}

func tests(of name: String, on dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.init(stringLiteral: name)] + dependencies,
    swiftSettings: swift + strict)
}

/// What the tests of several modules play with: a worker's thread, and peers that follow a script.
let support: Target = .target(
  name: "TestSupport", dependencies: ["Reactor"], path: "Tests/Support/Swift",
  swiftSettings: swift + strict)

let package = Package(
  name: "tollgate",
  products: [.executable(name: "tollgate", targets: ["tollgate"])],
  targets: [
    .target(name: "CLinux"),
    .systemLibrary(
      name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    module("Wire", on: []),
    module("Crypto", on: ["Wire", "COpenSSL"]),
    module("JOSE", on: ["Wire", "Crypto"]),
    module(
      "Reactor", on: ["CLinux", "COpenSSL", "Wire", "Crypto"],
      // A buffer lends its bytes as a `Span` bound to the buffer's life.
      more: [.enableExperimentalFeature("Lifetimes")]),
    module("HTTP", on: ["Wire", "Crypto", "Reactor"]),
    module("OAuth", on: ["Wire", "Crypto", "JOSE"]),
    module("Gateway", on: ["Wire", "Crypto", "JOSE", "Reactor", "HTTP", "OAuth"]),
    module("Demo", on: ["Wire", "Crypto", "JOSE", "Reactor", "HTTP", "Gateway"]),
    .executableTarget(
      name: "tollgate", dependencies: ["Wire", "Crypto", "Reactor", "HTTP", "Gateway", "Demo"],
      swiftSettings: swift + strict,
      // The standard library's own code without a detour through the dynamic linker's tables.
      linkerSettings: [.unsafeFlags(["-static-stdlib"], .when(configuration: .release))]),
    tests(of: "Wire", on: []),
    tests(of: "Crypto", on: ["Wire"]),
    tests(of: "JOSE", on: ["Wire", "Crypto"]),
    support,
    tests(of: "Reactor", on: ["Wire", "Crypto", "CLinux", "COpenSSL", "TestSupport"]),
    tests(of: "HTTP", on: ["Wire", "Crypto", "Reactor", "TestSupport"]),
    tests(of: "OAuth", on: ["Wire", "Crypto", "JOSE", "TestSupport"]),
    tests(
      of: "Gateway", on: ["Wire", "Crypto", "JOSE", "Reactor", "HTTP", "OAuth", "TestSupport"]),
    tests(of: "Demo", on: ["Wire", "Crypto", "JOSE", "Reactor", "HTTP", "Gateway"]),
  ]
)

// The fuzz targets have libFuzzer's `main`, so nothing but `--sanitize=fuzzer` can link them:
// Tests/Fuzz/run builds them, and them alone.
if Context.environment["TOLLGATE_FUZZ"] != nil {
  let all: [(name: String, reads: [Target.Dependency])] = [
    ("RequestHead", ["Wire"]), ("ResponseHead", ["Wire"]), ("Chunked", ["Wire"]),
    ("Addresses", ["Wire"]), ("Proxy", ["Wire"]), ("JSON", ["Wire"]),
    ("Token", ["Wire", "Crypto", "JOSE", "OAuth"]),
    ("Routes", ["Wire", "OAuth", "Gateway"]),
  ]
  package.products = []
  package.targets.removeAll { ["tollgate", "Demo", "TestSupport"].contains($0.name) || $0.isTest }
  package.targets.append(
    .target(
      name: "FuzzSupport", dependencies: ["Wire"], path: "Tests/Fuzz/Support",
      swiftSettings: swift + strict))
  package.targets += all.map { target in
    .executableTarget(
      name: "Fuzz\(target.name)", dependencies: ["FuzzSupport"] + target.reads,
      path: "Tests/Fuzz/\(target.name)", exclude: ["seeds", "dictionary"],
      swiftSettings: swift + strict + [.unsafeFlags(["-parse-as-library"])])
  }
}
