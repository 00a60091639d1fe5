#include "tls/openssl.h"

#include <arpa/inet.h>

#include <array>

#include "util/time.h"

namespace twinspool::tls {
namespace {

constexpr std::size_t kNamesMax = 8;  // of a certificate, in an error text

using BioPtr = std::unique_ptr<BIO, Free<&BIO_free>>;

std::string contents_of(BIO* memory) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory, &text);
  return {text, static_cast<std::size_t>(size)};
}

// A certificate's fields come from the peer: control characters are escaped.
std::string text_of(const X509_NAME* name) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  return contents_of(memory.get());
}

std::string text_of(const ASN1_TIME* time) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  ASN1_TIME_print_ex(memory.get(), time, ASN1_DTFLGS_ISO8601);
  return contents_of(memory.get());
}

std::string text_of(const GENERAL_NAME& name) {
  if (name.type == GEN_DNS) {
    const BioPtr memory(BIO_new(BIO_s_mem()));
    ASN1_STRING_print_ex(memory.get(), name.d.dNSName, ASN1_STRFLGS_RFC2253);
    return contents_of(memory.get());
  }
  if (name.type != GEN_IPADD) return {};
  const int family = ASN1_STRING_length(name.d.iPAddress) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(name.d.iPAddress) != 16) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(family, ASN1_STRING_get0_data(name.d.iPAddress), text.data(), text.size());
  return text.data();
}

std::string names_of(const X509* certificate) {
  using NamesPtr = std::unique_ptr<GENERAL_NAMES, Free<&GENERAL_NAMES_free>>;
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return "no name at all";
  std::string text;
  const auto count = static_cast<std::size_t>(sk_GENERAL_NAME_num(names.get()));
  for (std::size_t index = 0; index < count; ++index) {
    if (index == kNamesMax) return text + ", ...";
    const std::string name = text_of(*sk_GENERAL_NAME_value(names.get(), static_cast<int>(index)));
    if (name.empty()) continue;
    text += (text.empty() ? "" : ", ") + name;
  }
  return text.empty() ? "no host" : text;
}

// What a client can do about it: not every alert says plainly what the server misses.
std::string_view advice_for(int reason) {
  switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return "; what answers there does not speak TLS: check the host and the port";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
      return "; the server knows no version that forward.tls.min_version allows";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return "; the server wants a client certificate: forward.tls.cert_file and key_file";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return "; no common cipher, or the server wants a client certificate (forward.tls.cert_file and key_file)";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return "; the server does not accept this gateway's client certificate (forward.tls.cert_file)";
    default:
      return {};
  }
}

}  // namespace

std::string take_openssl_error(Advice advice) {
  const unsigned long code = ERR_get_error();  // the first of the queue is the cause, the rest is who passed it on
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  if (reason == nullptr) return "unknown error";
  const bool is_tls = ERR_GET_LIB(code) == ERR_LIB_SSL && advice == Advice::to_client;
  const std::string_view what_to_do = is_tls ? advice_for(ERR_GET_REASON(code)) : std::string_view{};
  return std::string(reason).append(what_to_do);
}

CertificateFault fault_of(X509_STORE_CTX* verification) {
  CertificateFault fault;
  fault.code = X509_STORE_CTX_get_error(verification);
  fault.depth = X509_STORE_CTX_get_error_depth(verification);
  const X509* certificate = X509_STORE_CTX_get_current_cert(verification);
  if (certificate == nullptr) return fault;
  fault.subject = text_of(X509_get_subject_name(certificate));
  fault.issuer = text_of(X509_get_issuer_name(certificate));
  fault.not_before = text_of(X509_get0_notBefore(certificate));
  fault.not_after = text_of(X509_get0_notAfter(certificate));
  fault.names = names_of(certificate);
  return fault;
}

std::string explain(const CertificateFault& fault, const std::string& wanted_host) {
  const std::string which = fault.depth == 0 ? "the certificate of " + wanted_host + " (" + fault.subject + ")"
                                             : "the authority's certificate (" + fault.subject + ", depth " +
                                                   std::to_string(fault.depth) + ") behind " + wanted_host;
  switch (fault.code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return which + " expired at " + fault.not_after + "; this gateway's clock says " + to_rfc3339(wall_now()) +
             "; where that is right, the server needs a new certificate";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      if (!clock_was_set(wall_now())) {  // the remedy first: a status cuts what is long
        return "this gateway's clock was never set, it says " + to_rfc3339(wall_now()) +
               ": `timedatectl set-time` sets it, or let NTP reach its server; nothing is lost, and delivery goes on "
               "by "
               "itself then. Until then " +
               which + " is not yet valid, it begins at " + fault.not_before;
      }
      return which + " is not yet valid, it begins at " + fault.not_before + "; this gateway's clock says " +
             to_rfc3339(wall_now()) + " and may be behind";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the certificate shown (" + fault.subject + ") is not for the host " + wanted_host + " but for " +
             fault.names + ": forward.endpoint, or forward.tls.server_name, must be one of its names";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return which + " is from an authority that is not trusted here (" + fault.issuer + "; " +
             X509_verify_cert_error_string(fault.code) +
             "): where that authority is the right one, name its certificate in forward.tls.ca_file; or the server "
             "does "
             "not send the certificates between its own and the authority's";
    case X509_V_ERR_CERT_REVOKED:
      return which + " was revoked by its authority (" + fault.issuer + "): the server needs a new one";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
      return which + " may have been revoked: the revocation list of " + fault.issuer +
             " in forward.tls.ca_file is of no use (" + X509_verify_cert_error_string(fault.code) +
             "); put the newest one there, or none at all";
    case X509_V_ERR_INVALID_PURPOSE:
      return which + " is not meant for a server: its key usage says for what it is";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
      return which + " is too weak to be trusted (" + X509_verify_cert_error_string(fault.code) +
             "): the server needs a new one";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return which + " is from an authority that is not trusted here (" + fault.issuer + "; " +
             X509_verify_cert_error_string(fault.code) +
             "): where that authority is the right one, name its certificate in forward.tls.ca_file";
    default:
      return which + " is refused: " + X509_verify_cert_error_string(fault.code);
  }
}

}  // namespace twinspool::tls
