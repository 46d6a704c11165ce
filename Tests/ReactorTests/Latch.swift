import Synchronization

/// A value that another thread sets.
final class Latch<Value: Sendable>: Sendable {
  private let state = Mutex<Value?>(nil)

  func set(_ value: Value) { state.withLock { $0 = value } }

  var value: Value? { state.withLock { $0 } }
}
