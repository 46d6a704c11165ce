import CLinux
import Glibc

/// What the process was started among: its environment, and files that may be there.
package enum Surroundings {
  /// An environment variable's value; nil where it is not set.
  package static func variable(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  /// Opens those of the three standard descriptors that the process was started without, on
  /// /dev/null: a line for people would else be written to whatever takes the number, a caller's
  /// socket for example.
  package static func fillStandardDescriptors() { clinux_fill_standard() }

  /// Whether there is such a file, readable or not.
  package static func hasFile(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
