/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104) for chips without a hash engine: small, no tables but the 64 constants.
 *
 * A chip that has an engine brings its own instead: define LK_HMAC_HEADER as the name of a header with
 * `struct lk_hmac`, `lk_hmac_begin`, `lk_hmac_add` and `lk_hmac_end` as declared below; see README.md. */
#ifndef LATCHKEY_SHA256_H
#define LATCHKEY_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LK_SHA256_BYTES 32
#define LK_SHA256_BLOCK 64

struct lk_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far; those that fill no block yet wait in `block` */
    uint8_t block[LK_SHA256_BLOCK];
};

/* One message under one key: begin, add as often as there are pieces, end. */
struct lk_hmac {
    struct lk_sha256 inner;
    struct lk_sha256 outer;
};

static inline uint32_t lk_sha256_turn(uint32_t word, unsigned bits)
{
    return (word >> bits) | (word << (32 - bits));
}

static inline uint32_t lk_sha256_constant(unsigned round)
{
    static const uint32_t constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    };
    return constants[round];
}

/* The message schedule in a window of 16 words: a quarter of the stack that all 64 would take. */
static inline uint32_t lk_sha256_schedule(uint32_t window[16], unsigned round)
{
    const uint32_t before_2 = window[(round + 14) & 15], before_15 = window[(round + 1) & 15];
    if (round >= 16) {
        window[round & 15] += window[(round + 9) & 15] +
            (lk_sha256_turn(before_2, 17) ^ lk_sha256_turn(before_2, 19) ^ (before_2 >> 10)) +
            (lk_sha256_turn(before_15, 7) ^ lk_sha256_turn(before_15, 18) ^ (before_15 >> 3));
    }
    return window[round & 15];
}

static inline void lk_sha256_block(struct lk_sha256 *hash, const uint8_t block[LK_SHA256_BLOCK])
{
    uint32_t window[16], s[8];
    memcpy(s, hash->state, sizeof s);
    for (unsigned i = 0; i < 16; i++) {
        window[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                    (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (unsigned round = 0; round < 64; round++) {
        const uint32_t word = lk_sha256_schedule(window, round);
        const uint32_t first = s[7] + word + lk_sha256_constant(round) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
            (lk_sha256_turn(s[4], 6) ^ lk_sha256_turn(s[4], 11) ^ lk_sha256_turn(s[4], 25));
        const uint32_t second = ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2])) +
            (lk_sha256_turn(s[0], 2) ^ lk_sha256_turn(s[0], 13) ^ lk_sha256_turn(s[0], 22));
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += first;
        s[0] = first + second;
    }
    for (unsigned i = 0; i < 8; i++)
        hash->state[i] += s[i];
}

static inline void lk_sha256_begin(struct lk_sha256 *hash)
{
    static const uint32_t initial[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    memcpy(hash->state, initial, sizeof hash->state);
    hash->length = 0;
}

static inline void lk_sha256_add(struct lk_sha256 *hash, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hash->block[hash->length++ % LK_SHA256_BLOCK] = bytes[i];
        if (hash->length % LK_SHA256_BLOCK == 0)
            lk_sha256_block(hash, hash->block);
    }
}

static inline void lk_sha256_end(struct lk_sha256 *hash, uint8_t digest[LK_SHA256_BYTES])
{
    static const uint8_t one_bit = 0x80, zero = 0;
    const uint64_t bits = hash->length * 8;
    uint8_t length[8];
    lk_sha256_add(hash, &one_bit, 1);
    while (hash->length % LK_SHA256_BLOCK != LK_SHA256_BLOCK - sizeof length)
        lk_sha256_add(hash, &zero, 1);
    for (unsigned i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    lk_sha256_add(hash, length, sizeof length);
    for (unsigned i = 0; i < LK_SHA256_BYTES; i++)
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

static inline void lk_hmac_begin(struct lk_hmac *mac, const uint8_t *key, size_t count)
{
    uint8_t pad[LK_SHA256_BLOCK] = {0};
    lk_sha256_begin(&mac->inner);
    lk_sha256_begin(&mac->outer);
    if (count > LK_SHA256_BLOCK) {
        lk_sha256_add(&mac->inner, key, count);
        lk_sha256_end(&mac->inner, pad);
        lk_sha256_begin(&mac->inner);
    } else {
        memcpy(pad, key, count);
    }
    for (unsigned i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36;
    lk_sha256_add(&mac->inner, pad, sizeof pad);
    for (unsigned i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    lk_sha256_add(&mac->outer, pad, sizeof pad);
}

static inline void lk_hmac_add(struct lk_hmac *mac, const uint8_t *bytes, size_t count)
{
    lk_sha256_add(&mac->inner, bytes, count);
}

static inline void lk_hmac_end(struct lk_hmac *mac, uint8_t tag[LK_SHA256_BYTES])
{
    uint8_t digest[LK_SHA256_BYTES];
    lk_sha256_end(&mac->inner, digest);
    lk_sha256_add(&mac->outer, digest, sizeof digest);
    lk_sha256_end(&mac->outer, tag);
}

#endif
