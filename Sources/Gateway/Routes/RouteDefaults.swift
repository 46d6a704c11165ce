import OAuth
import Wire

/// `defaults`: a route without its match, merged under each route.
///
/// Objects merge, anything else replaces, and null takes a default away. What can't be meant for a
/// route is not taken from it: a public route has no exchange, and one that answers by itself
/// forwards nothing.
struct RouteDefaults {
  private let members: [JSONMember]

  /// What a route has of its own.
  private static let ownKeys: Set<UTF8Text> = ["match", "name"]
  private static let ofCallers: Set<UTF8Text> = ["exchange", "admit", "clientCredentials"]
  private static let actions: Set<UTF8Text> = ["forward", "respond", "redirect"]

  /// Nothing, where there is no `defaults`, or something is wrong with it.
  init(_ setting: Setting?) {
    guard let setting, !setting.node.isNull else {
      members = []
      return
    }
    guard let given = setting.node.members else {
      setting.refuse("expected an object, found \(setting.found)")
      members = []
      return
    }
    for member in given where Self.ownKeys.contains(member.name) {
      setting.name(of: member).refuse("each route has its own")
    }
    members = given.filter { !Self.ownKeys.contains($0.name) }
    setting.reading.defaults = setting.node.range
  }

  /// A route with what it does not say itself.
  func applied(to route: JSONNode) -> JSONNode {
    guard !members.isEmpty, let own = route.members else { return route }
    let merged = Self.merged(members, own)
    let isOpen = merged.first { $0.name == "authenticate" }?.node.string == "none"
    let said = Set(own.filter { !$0.node.isNull }.map(\.name))
    let action = Self.actions.first { said.contains($0) }
    let kept = merged.filter { member in
      if said.contains(member.name) { return true }
      if isOpen, Self.ofCallers.contains(member.name) { return false }
      if let action, Self.actions.contains(member.name) { return member.name == action }
      return true
    }
    return JSONNode(value: .object(kept), range: route.range)
  }

  /// The route's own members, each merged with the default of its name, then the other defaults.
  private static func merged(_ defaults: [JSONMember], _ own: [JSONMember]) -> [JSONMember] {
    let byName = Dictionary(defaults.map { ($0.name, $0) }) { first, _ in first }
    var names: Set<UTF8Text> = []
    let mine = own.compactMap { member -> JSONMember? in
      names.insert(member.name)
      guard let other = byName[member.name] else { return member }
      if member.node.isNull { return nil }
      guard let under = other.node.members, let over = member.node.members else { return member }
      return JSONMember(
        name: member.name, nameRange: member.nameRange,
        node: JSONNode(value: .object(merged(under, over)), range: member.node.range))
    }
    return mine + defaults.filter { !names.contains($0.name) }
  }
}
