import CLinux
import Glibc

/// The terminal that a person sits at.
package enum Terminal {
  /// How many characters it shows; nil where the descriptor is none, or does not say.
  package static func size(_ descriptor: CInt) -> (columns: Int, rows: Int)? {
    var columns: CInt = 0
    var rows: CInt = 0
    guard unsafe clinux_terminal_size(descriptor, &columns, &rows) == 0, columns > 0, rows > 0
    else { return nil }
    return (Int(columns), Int(rows))
  }
}
