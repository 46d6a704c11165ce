import Glibc

/// What the process was started among: its environment, and files that may be there.
package enum Surroundings {
  /// An environment variable's value; nil where it is not set.
  package static func variable(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  /// Whether there is such a file, readable or not.
  package static func hasFile(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
