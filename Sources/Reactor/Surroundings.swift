import Glibc

/// What the process was started among: its environment, and files that may be there.
package enum Surroundings {
  /// An environment variable's value; nil where it is not set.
  package static func variable(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  /// Whether this process may read the file.
  package static func mayRead(_ path: String) -> Bool { unsafe access(path, R_OK) == 0 }
}
