/* The throw-away authority of a run, and the certificate that it gives the target. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "proto/tls.h"

#define A_DAY (24 * 60 * 60L)

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = ext && X509_add_ext(cert, ext, -1);

	X509_EXTENSION_free(ext);
	return ok;
}

static bool random_serial(X509 *cert)
{
	uint64_t serial;

	return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1);
}

/* Valid from yesterday, for clocks that differ, to a week from now. */
static X509 *blank(EVP_PKEY *key, const char *name)
{
	X509 *cert = X509_new();

	if (cert && X509_set_version(cert, 2) && random_serial(cert) &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -A_DAY) && X509_gmtime_adj(X509_getm_notAfter(cert), 7 * A_DAY) &&
	    X509_set_pubkey(cert, key) &&
	    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0))
		return cert;
	X509_free(cert);
	return NULL;
}

/* Its name is as random as its key: nobody else's certificate can seem to be of it. */
static X509 *make_authority(EVP_PKEY *key)
{
	unsigned char id[6];
	char name[64];

	if (RAND_bytes(id, sizeof id) != 1)
		return NULL;
	snprintf(name, sizeof name, "drainspec throw-away CA %02x%02x%02x%02x%02x%02x", id[0], id[1], id[2], id[3], id[4], id[5]);
	X509 *ca = blank(key, name);

	if (ca && X509_set_issuer_name(ca, X509_get_subject_name(ca)) &&
	    extend(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	    extend(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	    extend(ca, ca, NID_subject_key_identifier, "hash") && X509_sign(ca, key, EVP_sha256()))
		return ca;
	X509_free(ca);
	return NULL;
}

static X509 *make_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
	X509 *cert = blank(key, "localhost");

	if (cert && X509_set_issuer_name(cert, X509_get_subject_name(ca)) &&
	    extend(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	    extend(cert, ca, NID_key_usage, "critical,digitalSignature") &&
	    extend(cert, ca, NID_ext_key_usage, "serverAuth") &&
	    extend(cert, ca, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
	    extend(cert, ca, NID_authority_key_identifier, "keyid") && X509_sign(cert, ca_key, EVP_sha256()))
		return cert;
	X509_free(cert);
	return NULL;
}

static bool take(BIO *bio, struct buf *ret)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	if (n > 0)
		buf_add(ret, p, (size_t)n);
	BIO_reset(bio);
	return n > 0;
}

static bool as_pem(X509 *ca, X509 *cert, EVP_PKEY *key, struct tls_ca *ret)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = bio && PEM_write_bio_X509(bio, ca) && take(bio, &ret->ca) && PEM_write_bio_X509(bio, cert) &&
		  PEM_write_bio_X509(bio, ca) && take(bio, &ret->cert) &&
		  PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) && take(bio, &ret->key);

	BIO_free(bio);
	return ok;
}

int tls_ca_make(struct tls_ca *ret, struct err *reterr)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = ca_key ? make_authority(ca_key) : NULL;
	X509 *cert = ca && key ? make_leaf(key, ca, ca_key) : NULL;
	bool ok;

	*ret = (struct tls_ca){0};
	ok = cert && as_pem(ca, cert, key, ret);
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	if (ok)
		return 0;
	tls_ca_free(ret);
	return err_set(reterr, ERR_HARNESS, ENOMEM, "cannot make a throw-away certificate");
}

void tls_ca_free(struct tls_ca *ca)
{
	buf_free(&ca->ca);
	buf_free(&ca->cert);
	buf_free(&ca->key);
}
