import Glibc

/// The thread that asks.
enum CurrentThread {
  static var id: UInt { UInt(pthread_self()) }
}
