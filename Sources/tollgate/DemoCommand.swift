import Demo
import Gateway
import Glibc
import Reactor
import Synchronization

/// `tollgate demo`: a whole system on this machine; with `--once` it checks itself and ends.
enum DemoCommand {
  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    var options = Options(arguments, of: .demo)
    var isOnce = false
    while let item = try options.next() {
      switch item {
      case .option: isOnce = true
      case .argument(let text): throw Wrong(text: "unknown argument \"\(text)\"")
      }
    }
    return isOnce ? walk() : serve()
  }

  /// Serves until a signal ends it.
  private static func serve() -> CommandLineTool.ExitStatus {
    let system = start(log: .standardOutput) { Output.error("tollgate: \($0)") }
    guard let system else { return .couldNotRun }
    Output.line(Guide(system, paint: paint).text)
    RunCommand.serveUntilEnded(system.gateway, system.shutdown) { Output.error($0.text) }
    system.stopAfterGateway()
    return .well
  }

  private static func start(
    log: DemoSystem.LogOutput, report: @escaping @Sendable (String) -> Void
  ) -> DemoSystem? {
    do throws(DemoSystem.Failure) {
      return try DemoSystem(temporary: temporaryFolder, log: log, report: report)
    } catch {
      Output.error("tollgate demo: \(error)")
      return nil
    }
  }

  /// Walks through it; 0 when all of it held.
  private static func walk() -> CommandLineTool.ExitStatus {
    let reports = Reports()
    let system = start(log: .file) { text in reports.texts.withLock { $0.append(text) } }
    guard let system else { return .couldNotRun }
    let status = walk(through: system)
    system.stop()
    if status != .well {
      for text in reports.texts.withLock({ $0 }) { Output.error("tollgate: \(text)") }
    }
    return status
  }

  /// What the gateway has to say to its operator; of interest only where a step did not hold.
  private final class Reports: Sendable {
    let texts = Mutex<[String]>([])
  }

  private static func walk(through system: DemoSystem) -> CommandLineTool.ExitStatus {
    do throws(DemoSystem.Failure) {
      let walk = try Walk(system, paint: paint) { Output.line($0) }
      defer { walk.stop() }
      let beganMs = Clock.monotonicNs() / 1_000_000
      while true {
        if let held = walk.outcome { return held ? .well : .badInput }
        switch Signals.next(withinMs: 20) {
        case .terminate, .interrupt:
          Output.error("tollgate demo: interrupted")
          return .badInput
        case .user1, .user2, .hangUp, .bell, .foldersTouched, nil: break
        }
        if Clock.monotonicNs() / 1_000_000 - beganMs > walkMsMax {
          Output.error("tollgate demo: it did not come to its end within a minute")
          return .badInput
        }
      }
    } catch {
      Output.error("tollgate demo: \(error)")
      return .couldNotRun
    }
  }

  private static let walkMsMax: Int64 = 60_000

  /// `TMPDIR` where a shell would not need to quote it: it stands in the lines to paste.
  private static var temporaryFolder: String {
    let path = environment("TMPDIR")
    let isPlain = path.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."),
        UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
    guard path.hasPrefix("/"), isPlain else { return "/tmp" }
    return path.hasSuffix("/") ? String(path.dropLast()) : path
  }

  /// https://no-color.org, and nothing but text for files and pipes.
  private static var paint: Paint {
    Paint(isOn: Colouring.isWelcome && isatty(0) == 1 && isatty(1) == 1)
  }

  private static func environment(_ name: String) -> String {
    Surroundings.variable(name) ?? ""
  }
}
