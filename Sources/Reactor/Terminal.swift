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

/// The terminal at which a program was started, if it was at one.
package struct OwnTerminal: Sendable {
  private let wasThere = isatty(0) == 1

  package init() {}

  /// Whether somebody has closed it: then it is none any more (tty(4): EIO).
  package var isGone: Bool { wasThere && isatty(0) == 0 }
}
