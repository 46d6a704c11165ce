/// Where in the operator's files something was said: kept by what can turn out wrong later, when
/// a certificate is loaded or an address bound, so that the complaint points at the right line.
package struct ConfigPlace: Hashable, Sendable {
  /// The file, as the operator named it.
  package let file: String
  /// The bytes of the file that say it.
  package let range: Range<Int>
  /// The path of the key: `routes[2].exchange.audience`.
  package let key: String

  package init(file: String, range: Range<Int>, key: String) {
    self.file = file
    self.range = range
    self.key = key
  }
}

/// A file that the routes file names: not read yet.
package struct FileReference: Hashable, Sendable {
  /// The path to open: already relative to the working directory, not to the naming file.
  package let path: String
  package let place: ConfigPlace

  package init(path: String, place: ConfigPlace) {
    self.path = path
    self.place = place
  }
}
