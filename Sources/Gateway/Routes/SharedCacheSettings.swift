package import OAuth
package import Wire

/// `sharedCache`: where gateways keep the tokens that they had exchanged for one another.
package struct SharedCacheSettings: Sendable {
  package let url: RedisURL
  package let username: UTF8Text?
  package let password: Secret?
  /// Certificate authorities in place of the system's.
  package let ca: FileReference?
  /// The longest that a request waits for the server in all.
  package let timeoutMs: Int64
  /// Each of 32 bytes; never empty. The first seals, all open.
  package let keys: [Secret]

  /// Whether connections made for the one, and tokens sealed by it, are as good for the other. The
  /// authorities are compared as what their files hold, not here.
  func isSame(as other: SharedCacheSettings) -> Bool {
    url == other.url && username == other.username
      && password?.revealed == other.password?.revealed && timeoutMs == other.timeoutMs
      && keys.map(\.revealed) == other.keys.map(\.revealed)
  }
}
