import Testing
import Wire

struct RedisURLTests {
  @Test(arguments: [
    ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
    ("redis://localhost", "redis://localhost:6379"),
    ("REDISS://Redis.Example.COM.:7000/", "rediss://redis.example.com:7000"),
    ("rediss://[::1]:6380/15", "rediss://[::1]:6380/15"),
    ("redis://r/0", "redis://r:6379"),
  ])
  func `reads where a server is`(_ text: String, _ shown: String) throws {
    #expect(try RedisURL(UTF8Text(text)).description == shown)
  }

  @Test(arguments: [
    ("http://r", RedisURL.Fault.scheme), ("r:6379", .scheme), ("redis:r", .scheme), ("", .scheme),
    ("redis://me@r", .userinfo), ("redis://:p@r:1", .userinfo), ("redis://:p/?#@r", .userinfo),
    ("redis://", .host), ("redis:///1", .host), ("redis://a b", .host), ("redis://[::1", .host),
    ("redis://r:0", .port), ("redis://r:65536", .port), ("redis://r:", .port),
    ("redis://r/x", .database), ("redis://r/1/2", .database), ("redis://r/-1", .database),
    ("redis://r?db=1", .database), ("redis://r/1#x", .database), ("redis://r/9999999", .database),
  ])
  func `says what is wrong with a URL`(_ text: String, _ fault: RedisURL.Fault) {
    #expect(throws: fault) { try RedisURL(UTF8Text(text)) }
  }

  @Test func `knows what stays on this machine`() throws {
    for text in ["redis://127.0.0.1", "redis://[::1]", "redis://localhost", "redis://a.localhost"] {
      #expect(try RedisURL(UTF8Text(text)).isLoopback)
    }
    #expect(try !RedisURL("redis://10.0.0.1").isLoopback)
    #expect(try !RedisURL("redis://redis").isLoopback)
  }
}
