"""Judged by programs that nobody here wrote: curl, requests, openssl s_client and nginx."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from harness.program import Nginx
from harness.waiting import free_port

MIB = 1 << 20


@pytest.fixture(scope="module")
def nginx(world):
    """nginx as the upstream; it shows what it received, and serves and takes files."""
    port = free_port()
    files = world.folder / "files"
    files.mkdir()
    files.chmod(0o777)
    (files / "small.txt").write_text("small file\n")
    (files / "large.bin").write_bytes(bytes(range(256)) * 4096 * 8)
    os.chmod(world.folder, 0o755)
    shown = {
        "authorization": "$http_authorization",
        "uri": "$request_uri",
        "host": "$http_host",
        "via": "$http_via",
        "for": "$http_x_forwarded_for",
        "proto": "$http_x_forwarded_proto",
        "connection": "$http_connection",
    }
    http = f"""
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    root {files};
    location /nginx/shown {{ default_type application/json; return 200 '{json.dumps(shown)}'; }}
    location /nginx/files/ {{
      alias {files}/; dav_methods PUT; gzip on; gzip_types *; gzip_proxied any;
    }}
    location /nginx/moved {{ return 302 /elsewhere; }}
    location /nginx/nothing {{ return 204; }}
    location /nginx/broken {{ return 444; }}
  }}"""
    program = Nginx(world.folder, http, port)
    program.url = f"http://127.0.0.1:{port}"
    program.files = files
    yield program
    program.end()


@pytest.fixture(scope="module")
def gateway(world, nginx):
    routes = world.routes(
        world.route("/*"),
        world.route("/nginx/*", forward={"to": nginx.url}, limits={"body": "1GiB"}),
        listeners=[world.tls_listener, world.clear_listener],
    )
    ca = world.authority_file
    with world.gateway(routes) as gateway:
        gateway.url = f"https://localhost:{gateway.port}"
        gateway.ca = str(ca)
        yield gateway


def curl(gateway, *arguments, token=None, person=None, status=0):
    command = ["curl", "-sS", "--cacert", gateway.ca, "--max-time", "60"]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    if person:
        command += ["-H", f"X-Test-Person: {person}"]
    run = subprocess.run([*command, *map(str, arguments)], capture_output=True, timeout=90)
    assert run.returncode == status, run.stderr.decode()
    return run.stdout


# -- curl


def test_curl_gets_an_answer(world, gateway, person):
    token = world.issuer.token(person)
    out = curl(gateway, "-i", f"{gateway.url}/curl?x=1", token=token, person=person)
    head, _, body = out.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["target"] == "/curl?x=1"


def test_curl_is_refused_with_a_readable_problem(gateway):
    out = curl(gateway, "-i", f"{gateway.url}/curl")
    assert out.startswith(b"HTTP/1.1 401 ")
    assert b"application/problem+json" in out and b"token_missing" in out


def test_curl_uploads_and_downloads_files(world, gateway, nginx, person, tmp_path):
    token = world.issuer.token(person)
    source = tmp_path / "source.bin"
    source.write_bytes(hashlib.sha256(b"seed").digest() * (40 * MIB // 32))
    curl(gateway, "-f", "-T", source, f"{gateway.url}/nginx/files/up.bin", token=token,
         person=person)  # fmt: skip
    assert (nginx.files / "up.bin").read_bytes() == source.read_bytes()
    out = curl(gateway, "-f", f"{gateway.url}/nginx/files/up.bin", token=token, person=person)
    assert hashlib.sha256(out).digest() == hashlib.sha256(source.read_bytes()).digest()


def test_curl_uploads_from_a_pipe_without_a_length(world, gateway, nginx, person):
    token = world.issuer.token(person)
    url = f"{gateway.url}/nginx/files/piped.bin"
    command = ["curl", "-sS", "-f", "--cacert", gateway.ca, "-T", "-",
               "-H", f"Authorization: Bearer {token}", url]  # fmt: skip
    run = subprocess.run(command, input=b"p" * (3 * MIB), capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert (nginx.files / "piped.bin").read_bytes() == b"p" * (3 * MIB)


def test_curl_reuses_its_connection(world, gateway, person):
    token = world.issuer.token(person)
    urls = [f"{gateway.url}/reuse/{n}" for n in range(5)]
    out = curl(gateway, "-w", "%{num_connects} ", "-o", "/dev/null", *[w for url in urls
               for w in (url, "-o", "/dev/null")][:-2], token=token, person=person)  # fmt: skip
    assert out.split() == [b"1", b"0", b"0", b"0", b"0"]


def test_curl_speaks_http_1_0(world, gateway, person):
    token = world.issuer.token(person)
    out = curl(gateway, "-0", f"{gateway.url}/old", token=token, person=person)
    assert json.loads(out)["target"] == "/old"


def test_curl_asks_for_parts_of_a_file(world, gateway, nginx, person):
    token = world.issuer.token(person)
    url = f"{gateway.url}/nginx/files/large.bin"
    out = curl(gateway, "-f", "-r", "1000-1999", url, token=token, person=person)
    assert out == (nginx.files / "large.bin").read_bytes()[1000:2000]


def test_curl_expects_100_continue(world, gateway, nginx, person, tmp_path):
    token = world.issuer.token(person)
    source = tmp_path / "expected.bin"
    source.write_bytes(b"e" * MIB)
    curl(gateway, "-f", "-H", "Expect: 100-continue", "-T", source,
         f"{gateway.url}/nginx/files/expected.bin", token=token, person=person)  # fmt: skip
    assert (nginx.files / "expected.bin").read_bytes() == source.read_bytes()


def test_curl_with_both_tls_versions(world, gateway, person):
    token = world.issuer.token(person)
    for version in (["--tls-max", "1.2"], ["--tlsv1.3"]):
        out = curl(gateway, *version, f"{gateway.url}/v", token=token, person=person)
        assert json.loads(out)["target"] == "/v"
    curl(gateway, "--tls-max", "1.1", f"{gateway.url}/v", status=35)


# -- nginx as the upstream


def test_nginx_sees_the_exchanged_token_and_the_forwarding_fields(world, gateway, nginx, person):
    token = world.issuer.token(person)
    out = curl(gateway, f"{gateway.url}/nginx/shown?a=b", token=token, person=person)
    shown = json.loads(out)
    issued = world.tokens.issued[shown["authorization"].removeprefix("Bearer ")]
    assert (issued.person, issued.audience, issued.subject_token) == (person, ["orders"], token)
    assert shown["uri"] == "/nginx/shown?a=b"
    assert shown["host"] == nginx.url.removeprefix("http://")
    assert (shown["via"], shown["for"], shown["proto"]) == ("1.1 tollgate", "127.0.0.1", "https")
    assert shown["connection"] in ("", "keep-alive")


def test_answers_of_nginx_of_every_kind_go_through(world, gateway, nginx, person):
    import requests

    token = world.issuer.token(person)
    headers = {"Authorization": f"Bearer {token}"}
    session = requests.Session()
    session.trust_env = False
    session.verify = gateway.ca
    session.headers.update(headers)

    def get(path, **more):
        return session.get(gateway.url + path, allow_redirects=False, timeout=30, **more)

    assert get("/nginx/nothing").status_code == 204
    moved = get("/nginx/moved")
    assert moved.status_code == 302
    assert get("/nginx/files/missing").status_code == 404
    small = get("/nginx/files/small.txt")
    assert small.text == "small file\n"
    again = get("/nginx/files/small.txt", headers={"If-None-Match": small.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    large = get("/nginx/files/large.bin", headers={"Accept-Encoding": "gzip"})
    assert large.headers.get("Content-Encoding") == "gzip"
    assert large.content == (nginx.files / "large.bin").read_bytes()
    plain = {"Accept-Encoding": "identity"}
    head = session.head(gateway.url + "/nginx/files/large.bin", headers=plain, timeout=30)
    assert head.headers["Content-Length"] == str(8 * MIB)
    assert get("/nginx/broken").status_code == 502
    assert get("/nginx/nothing").status_code == 204


# -- requests


def test_requests_keeps_a_session(world, gateway, person):
    import requests

    token = world.issuer.token(person)
    with requests.Session() as session:
        session.trust_env = False
        session.verify = gateway.ca
        session.headers.update({"Authorization": f"Bearer {token}", "X-Test-Person": person})
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = session.request(method, gateway.url + "/r", json={"a": 1}, timeout=30)
            assert answer.status_code == 200
            assert answer.json()["method"] == method
        answer = session.post(
            gateway.url + "/r", data=iter([b"one", b"two", b"three"]), timeout=30
        )
        assert answer.json()["size"] == 11
        answer = session.post(
            gateway.url + "/r", files={"file": ("x.bin", b"f" * MIB)}, timeout=30
        )
        assert answer.json()["size"] > MIB
        del session.headers["Authorization"]
        refused = session.get(gateway.url + "/r", timeout=30)
        assert refused.status_code == 401
        assert refused.json()["reason"] == "token_missing"


# -- openssl


def s_client(gateway, *arguments, data=b""):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}",
               "-servername", "localhost", "-CAfile", gateway.ca, *arguments]  # fmt: skip
    run = subprocess.run(command, input=data, capture_output=True, timeout=30)
    return run, run.stdout.decode(errors="replace")


def test_openssl_verifies_the_chain_and_speaks_to_it(gateway):
    run, said = s_client(
        gateway, "-ign_eof", "-verify_return_error", "-verify_hostname", "localhost",
        data=b"GET /s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )  # fmt: skip
    assert run.returncode == 0, said
    assert "Verify return code: 0 (ok)" in said
    assert "HTTP/1.1 401 " in said
    assert "TLSv1.3" in said


def test_openssl_agrees_on_http_1_1(gateway):
    _, said = s_client(gateway, "-alpn", "http/1.1")
    assert "ALPN protocol: http/1.1" in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_resumes_its_session(gateway, tmp_path, version):
    session = tmp_path / "session.pem"
    data = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    s_client(gateway, version, "-ign_eof", "-sess_out", str(session), data=data)
    assert session.exists()
    _, said = s_client(gateway, version, "-ign_eof", "-sess_in", str(session), data=data)
    assert "Reused, TLS" in said


def test_openssl_finds_forward_secrecy_and_no_compression(gateway):
    _, said = s_client(gateway, "-tls1_2")
    assert "Compression: NONE" in said
    assert "ECDHE" in said
    assert "Secure Renegotiation IS supported" in said


def test_the_tools_are_real():
    for tool in ("curl", "openssl"):
        assert shutil.which(tool)
    assert shutil.which("nginx") or pathlib.Path("/usr/sbin/nginx").exists()
