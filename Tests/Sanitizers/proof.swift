// Two threads that share a number under a lock, as the program's threads do, and one more number:
// by an atomic, or, when told so, by nothing.
import Glibc
import Synchronization

enum Shared {
  static let locked = Mutex(0)
  static let atomic = Atomic(0)
  nonisolated(unsafe) static var bare = 0
}

@main struct Proof {
  static func main() {
    if CommandLine.arguments.dropFirst().first == "race" {
      // The second thread comes much later, but by the clock only: nothing orders the two.
      run([
        { once() },
        {
          poll(nil, 0, 200); once()
        },
      ])
    } else {
      run([{ turns() }, { turns() }])
    }
  }

  /// A turn without the lock.
  static func once() {
    ask(1)
    Shared.bare += 1
    ask(1)
  }

  /// So many that each thread comes to the lock while the other one has it.
  static func turns() {
    for _ in 0..<5_000 {
      ask(1)
      Shared.atomic.add(1, ordering: .relaxed)
      Shared.locked.withLock { locked in
        locked += 1
        if locked % 16 == 0 { sched_yield() }
      }
    }
  }

  /// Has the runtime ask for a generic type's description.
  @inline(never) static func ask<Value>(_ value: Value) { _ = [value].lazy.map { [$0] }.count }

  static func run(_ bodies: [@Sendable () -> Void]) {
    let threads = bodies.map { body in
      var thread = pthread_t()
      pthread_create(
        &thread, nil,
        { argument in
          Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
          return nil
        }, Unmanaged.passRetained(Body(body)).toOpaque())
      return thread
    }
    for thread in threads { pthread_join(thread, nil) }
  }
}

final class Body {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
