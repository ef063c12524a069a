"""What is old-fashioned about a CA, beside what OpenSSL says of the same when it is strict."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.fleetlock.certificate_words import certificates_in, old_fashions
from tests.fakes.fleetlock_tls import openssl

NOW = datetime.now(UTC)
LATER = NOW.replace(year=NOW.year + 30)
MODERN = {
    "basicConstraints": "critical,CA:true",
    "keyUsage": "critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier": "hash",
}
OPENSSL_SAYS = {
    "has no subjectKeyIdentifier": "Missing Subject Key Identifier",
    "has no keyUsage": "CA cert does not include key usage extension",
    "has a basicConstraints that is not critical": "Constraints of CA cert not marked critical",
}


def make(folder: Path, extensions: dict[str, str], *more: str) -> bytes:
    """A self-signed certificate with these extensions, as PEM."""
    lines = [f"{name}={value}" for name, value in extensions.items()]
    config, file = folder / "openssl.cnf", folder / "ca.pem"
    body = "\n".join(["[req]", "distinguished_name=dn", "[dn]", "[ca]", *lines, ""])
    config.write_text(body)
    key = more or ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    use = ("-extensions", "ca") if extensions else ()
    openssl(
        *("req", "-x509", "-nodes", "-config", config, "-subj", "/CN=Home", "-days", "9"),
        *(*use, *key, "-keyout", folder / "key.pem", "-out", file),
    )
    return file.read_bytes()


def fashions(pem: bytes, *, at: datetime = NOW) -> list[str]:
    (der,) = certificates_in(pem)
    return list(old_fashions(der, at=at))


def strict_openssl(folder: Path) -> str:
    """What it says of a certificate of this CA, when it is as strict as Python 3.13 is."""
    config, wanted, leaf = folder / "leaf.cnf", folder / "leaf.csr", folder / "leaf.pem"
    config.write_text(
        "authorityKeyIdentifier=keyid,issuer:always\nsubjectAltName=DNS:localhost\n"
        "basicConstraints=CA:false\nkeyUsage=digitalSignature\n"
    )
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", *key, "-subj", "/CN=localhost", "-keyout", folder / "leaf.key", "-out", wanted)
    ca = folder / "ca.pem"
    openssl(
        *("x509", "-req", "-in", wanted, "-CA", ca, "-CAkey", folder / "key.pem"),
        *("-CAcreateserial", "-days", "9", "-extfile", config, "-out", leaf),
    )
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(ca), str(leaf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_modern_ca_is_not_old_fashioned(tmp_path: Path) -> None:
    assert fashions(make(tmp_path, MODERN)) == []
    assert "OK" in strict_openssl(tmp_path)


@pytest.mark.parametrize(
    ("lacking", "instead", "said"),
    [
        ("subjectKeyIdentifier", "none", "has no subjectKeyIdentifier"),
        ("keyUsage", "", "has no keyUsage"),
        ("basicConstraints", "CA:true", "has a basicConstraints that is not critical"),
    ],
)
def test_what_a_ca_lacks_is_what_strict_openssl_refuses_it_for(
    tmp_path: Path, lacking: str, instead: str, said: str
) -> None:
    extensions = {name: value for name, value in MODERN.items() if name != lacking}
    pem = make(tmp_path, extensions | ({lacking: instead} if instead else {}))
    assert fashions(pem) == [said]
    assert OPENSSL_SAYS[said] in strict_openssl(tmp_path)


def test_a_servers_own_certificate_is_no_ca_and_lacks_nothing(tmp_path: Path) -> None:
    assert fashions(make(tmp_path, {"basicConstraints": "CA:false"})) == []
    assert fashions(make(tmp_path, {"subjectAltName": "DNS:localhost"})) == []


def test_an_end_a_short_key_and_an_old_signature_are_said(tmp_path: Path) -> None:
    pem = make(tmp_path, MODERN, "-newkey", "rsa:1024", "-sha1")
    assert fashions(pem) == ["is signed with SHA-1", "has an RSA key of 1024 bits"]
    assert fashions(pem, at=LATER)[1].startswith(f"ended on {NOW.year}-")


def test_a_certificate_that_another_signed_points_to_it(tmp_path: Path) -> None:
    """Strict OpenSSL 3 says "Missing Authority Key Identifier" of it, as of a leaf."""
    make(tmp_path, MODERN)
    config = tmp_path / "sub.cnf"
    config.write_text("".join(f"{name}={value}\n" for name, value in MODERN.items()))
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    wanted, sub = tmp_path / "sub.csr", tmp_path / "sub.pem"
    openssl("req", *key, "-subj", "/CN=Sub", "-keyout", tmp_path / "sub.key", "-out", wanted)
    for more, said in (("", ["has no authorityKeyIdentifier"]), ("keyid", [])):
        ski = f"authorityKeyIdentifier={more or 'none'}\n"
        config.write_text("".join(f"{name}={value}\n" for name, value in MODERN.items()) + ski)
        openssl(
            *("x509", "-req", "-in", wanted, "-CA", tmp_path / "ca.pem", "-days", "9"),
            *("-CAkey", tmp_path / "key.pem", "-CAcreateserial"),
            *("-extfile", config, "-out", sub),
        )
        assert fashions(sub.read_bytes()) == said


def test_a_bundle_has_many_and_comments_are_none(tmp_path: Path) -> None:
    pem = make(tmp_path, MODERN)
    junk = b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"
    trusted = pem.replace(b"N CERT", b"N TRUSTED CERT")
    assert len(certificates_in("Ärger\n".encode() + pem + b"# one more\n" + junk + trusted)) == 2
    assert certificates_in(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----") == ()


@given(st.binary(), st.data())
def test_no_bytes_make_it_fail(noise: bytes, data: st.DataObject) -> None:
    (der,) = certificates_in(SAMPLE)
    place = data.draw(st.integers(0, len(der)))
    for broken in (noise, der[:place], der[:place] + noise, der[:place] + noise + der[place + 1 :]):
        assert all(isinstance(one, str) for one in old_fashions(broken, at=NOW))
    certificates_in(noise)


SAMPLE = b"""-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUVoq7BjzqQy/2JX3wZwsR9gQ65UswCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAgFw0yNjExMzAwMjM1NDlaGA8yMTI2MTEwNjAyMzU0OVow
DDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJHXb6TAImvx
M0XWpffdAD4AmNI9N6glhiY/9Tf/i0xwBQu1yOwTj69FnTrDdLfxT/Q4eu2FJVFj
1weuaOv8vKOjUzBRMB0GA1UdDgQWBBTQ/jGBaODrt6j2tQIHUgbK4SMQFjAfBgNV
HSMEGDAWgBTQ/jGBaODrt6j2tQIHUgbK4SMQFjAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIBO1JAZBdlrxy+I38Wys2QRIAJmfy7a9GBJZW3ZB4HxV
AiEA70tfIWqrQxRwLdB3s23+3iObEMQxlElx9516gA1+hA8=
-----END CERTIFICATE-----
"""
