import CLinux
import Glibc

/// An IP address and a port, as the kernel takes it.
package struct SocketAddress: Hashable, Sendable {
  /// 4 or 16 bytes in network order.
  package let bytes: [UInt8]
  package var port: UInt16

  package var isV6: Bool { bytes.count == 16 }

  /// - Parameter bytes: 4 or 16 of them; anything else is no address.
  package init?(bytes: [UInt8], port: UInt16) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    self.bytes = bytes
    self.port = port
  }

  /// Reads a literal address: "127.0.0.1", "::1", without brackets or zone.
  package init?(literal: String, port: UInt16) {
    var four = [UInt8](repeating: 0, count: 4)
    var sixteen = [UInt8](repeating: 0, count: 16)
    if unsafe inet_pton(AF_INET, literal, &four) == 1 {
      self.init(bytes: four, port: port)
    } else if unsafe inet_pton(AF_INET6, literal, &sixteen) == 1 {
      self.init(bytes: sixteen, port: port)
    } else {
      return nil
    }
  }

  /// The address without port as text; an IPv4 address mapped into IPv6 as IPv4.
  package var host: String {
    var bytes = self.bytes
    if isMappedV4 { bytes.removeFirst(12) }
    let family = bytes.count == 4 ? AF_INET : AF_INET6
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard unsafe inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "" }
    return String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private var isMappedV4: Bool {
    isV6 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff
  }

  /// Calls `body` with the kernel's form.
  func withKernelForm<Result>(
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    if isV6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { unsafe $0.copyBytes(from: bytes) }
      return unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
      }
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    unsafe withUnsafeMutableBytes(of: &address.sin_addr) { unsafe $0.copyBytes(from: bytes) }
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  /// Reads the kernel's form; nil for other families.
  init?(kernelForm storage: sockaddr_storage) {
    var storage = storage
    let family = Int32(storage.ss_family)
    var found: SocketAddress?
    unsafe withUnsafePointer(to: &storage) { pointer in
      switch family {
      case AF_INET:
        unsafe pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { four in
          var address = unsafe four.pointee.sin_addr
          let bytes = unsafe withUnsafeBytes(of: &address) { unsafe [UInt8]($0) }
          found = unsafe SocketAddress(bytes: bytes, port: UInt16(bigEndian: four.pointee.sin_port))
        }
      case AF_INET6:
        unsafe pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { six in
          var address = unsafe six.pointee.sin6_addr
          let bytes = unsafe withUnsafeBytes(of: &address) { unsafe [UInt8]($0) }
          found = unsafe SocketAddress(bytes: bytes, port: UInt16(bigEndian: six.pointee.sin6_port))
        }
      default: break
      }
    }
    guard let found else { return nil }
    self = found
  }
}

extension SocketAddress: CustomStringConvertible {
  package var description: String { isV6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
