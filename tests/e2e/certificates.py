"""Certificates made when a test runs, good or bad in one chosen way (python3-cryptography)."""

import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def hours(number):
    return datetime.datetime.utcnow() + datetime.timedelta(hours=number)


def name_of(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Files:
    def __init__(self, cert_file, key_file):
        self.cert_file, self.key_file = cert_file, key_file


class Authority:
    """A self-signed authority, or one below another."""

    def __init__(self, directory, name="authority", above=None, valid=(-72, 24 * 365)):
        self.directory, self.name = directory, name
        os.makedirs(directory, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test authority {name}")])
        issuer, signer = (above.subject, above.key) if above else (self.subject, self.key)
        self.certificate = (
            x509.CertificateBuilder().subject_name(self.subject).issuer_name(issuer).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(hours(valid[0])).not_valid_after(hours(valid[1]))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(signer, hashes.SHA256()))
        self.chain = [self.certificate, *above.chain] if above and above.chain_is_shown else [self.certificate]
        self.chain_is_shown = above is not None
        self.ca_file = self.write(f"{name}.ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def write(self, name, data):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
        return path

    def revocation_list(self, *revoked, valid=(-1, 24)):
        """A PEM file with the authority and its list; `revoked` are Files."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject).last_update(hours(valid[0]))
        builder = builder.next_update(hours(valid[1]))
        for files in revoked:
            with open(files.cert_file, "rb") as file:
                serial = x509.load_pem_x509_certificate(file.read()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(hours(-0.5)).build())
        crl = builder.sign(self.key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        return self.write(f"{self.name}.crl.pem", self.certificate.public_bytes(pem) + crl.public_bytes(pem))

    def issue(self, name, hosts=("127.0.0.1", "localhost"), common_name="stand-in", valid=(-1, 24 * 30), rsa_bits=None,
              digest=None, usages=(SERVER, CLIENT), self_signed=False, whole_chain=True):
        key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (x509.CertificateBuilder().subject_name(subject)
                   .issuer_name(subject if self_signed else self.subject).public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(hours(valid[0])).not_valid_after(hours(valid[1]))
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False))
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([name_of(host) for host in hosts]), critical=False)
        certificate = builder.sign(key if self_signed else self.key, digest or hashes.SHA256())
        shown = [certificate]
        if whole_chain and self.chain_is_shown and not self_signed:
            shown += self.chain
        pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in shown)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())
        return Files(self.write(f"{name}.pem", pem), self.write(f"{name}.key", secret))
