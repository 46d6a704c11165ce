import Crypto
import HTTP
import OAuth
import Reactor
import Wire

extension SharedTarget {
  /// The request of one exchange, with an assertion of its own where the client shows itself so.
  func call(at endpoint: HTTPURL, _ flight: ExchangeFlight) throws(ExchangeRefusal) -> Call {
    if case .certificate = exchange.settings.client.method, !endpoint.origin.isSecure {
      throw .certificateUnseen
    }
    var fields = Array("Accept: application/json\r\nContent-Type: ".utf8)
    fields += Array(TokenExchange.contentType.utf8)
    fields += [13, 10]
    if let authorization = request.authorization {
      fields += Array("Authorization: ".utf8)
      fields += authorization.revealed
      fields += [13, 10]
    }
    var assertion: [UInt8]?
    if let signer = exchange.assertion {
      do throws(CryptoFault) {
        assertion = try signer.make(
          tokenEndpoint: UTF8Text("\(endpoint)"), nowMs: Clock.wallMs())
      } catch {
        throw .unsigned
      }
    }
    return Call(
      .post, target: endpoint.target, authority: endpoint.origin.authority, fields: fields,
      content: request.makeBody(
        subjectToken: flight.subject == nil ? nil : flight.subjectToken, assertion: assertion),
      answerBytesMax: TokenAnswer.bytesMax)
  }

  /// The same again on another connection, since the first one turned out to be closed: an
  /// assertion that the service may have seen is not sent twice.
  func callAgain(_ call: Call, at endpoint: HTTPURL, _ flight: ExchangeFlight) -> Call {
    guard exchange.assertion != nil else { return call }
    do throws(ExchangeRefusal) {
      return try self.call(at: endpoint, flight)
    } catch {
      return call
    }
  }
}

extension SharedTokens {
  /// `verify.signature`: waits for the issuer's keys as requests do, for as long as the exchange
  /// may take.
  ///
  /// - Throws: `unverified` where the signature is not the issuer's, `unavailable` where its keys
  ///   can't be had.
  func checkSignature(
    of issued: IssuedToken, _ waiter: Waiter, untilMs: Int64
  ) async throws(ExchangeRefusal) {
    let signature = try IssuedSignature(issued)
    guard let index = issuerIndex(of: signature.issuer) else {
      throw IssuedSignature.unknownIssuer
    }
    let keys = issuers[index]
    while true {
      if let set = keys.keys, try signature.holds(by: keys.rules, keys: set) { return }
      switch keys.answer(isKnown: false, waiter: waiter.remote) {
      case .found: continue
      case .unknown: throw IssuedSignature.keyUnknown
      case .unavailable: throw IssuedSignature.keysMissing
      case .fetch:
        let isSignalled = await waiter.wait(untilMs: untilMs)
        if !isSignalled { throw IssuedSignature.keysMissing }
      }
    }
  }
}
