/* The part of CBOR (RFC 8949) that the wire uses: a writer that never overflows, a reader that never overreads.
 *
 * Both remember their first fault and do nothing after it, so a caller asks once, at the end. */
#ifndef LATCHKEY_CBOR_H
#define LATCHKEY_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum lk_status {
    LK_OK = 0,
    LK_NO_ROOM = 1,      /* the frame does not fit the buffer */
    LK_BAD_VALUE = 2,    /* the caller's value is outside what the wire allows */
    LK_MALFORMED = 3,    /* not a frame of this wire, or cut short */
    LK_UNKNOWN_KEY = 4,  /* sealed with a key that this device does not hold */
    LK_BAD_SEAL = 5,     /* forged, damaged, or heard on another topic than it was sealed for */
    LK_WRONG_DEVICE = 6, /* well sealed, but for another device */
};

enum lk_major { LK_UINT = 0, LK_NEGATIVE = 1, LK_BYTES = 2, LK_TEXT = 3, LK_ARRAY = 4, LK_MAP = 5,
                LK_TAG = 6, LK_SIMPLE = 7 };

/* ---- Writing: always the shortest form ---------------------------------------------------------------------- */

struct lk_writer {
    uint8_t *out;
    size_t size;
    size_t used;
    enum lk_status status;
};

static inline void lk_require(struct lk_writer *w, bool allowed)
{
    if (!allowed && w->status == LK_OK)
        w->status = LK_BAD_VALUE;
}

static inline void lk_put_raw(struct lk_writer *w, const void *bytes, size_t count)
{
    if (w->status == LK_OK && count > w->size - w->used)
        w->status = LK_NO_ROOM;
    if (w->status != LK_OK || count == 0)
        return;
    memcpy(w->out + w->used, bytes, count);
    w->used += count;
}

static inline void lk_put_byte(struct lk_writer *w, unsigned byte)
{
    const uint8_t one = (uint8_t)byte;
    lk_put_raw(w, &one, 1);
}

/* `argument` in `width` bytes behind the initial byte; width 0 keeps it inside. */
static inline void lk_put_wide(struct lk_writer *w, unsigned initial, uint64_t argument, unsigned width)
{
    lk_put_byte(w, initial);
    while (width > 0)
        lk_put_byte(w, (unsigned)(argument >> (8 * --width)) & 0xFF);
}

static inline void lk_put_head(struct lk_writer *w, enum lk_major major, uint64_t argument)
{
    const unsigned initial = (unsigned)major << 5;
    if (argument < 24)
        lk_put_wide(w, initial | (unsigned)argument, 0, 0);
    else if (argument <= 0xFF)
        lk_put_wide(w, initial | 24, argument, 1);
    else if (argument <= 0xFFFF)
        lk_put_wide(w, initial | 25, argument, 2);
    else if (argument <= 0xFFFFFFFF)
        lk_put_wide(w, initial | 26, argument, 4);
    else
        lk_put_wide(w, initial | 27, argument, 8);
}

static inline void lk_put_int(struct lk_writer *w, int64_t value)
{
    if (value >= 0)
        lk_put_head(w, LK_UINT, (uint64_t)value);
    else
        lk_put_head(w, LK_NEGATIVE, (uint64_t)(-1 - value));
}

static inline void lk_put_bool(struct lk_writer *w, bool value)
{
    lk_put_byte(w, value ? 0xF5 : 0xF4);
}

static inline void lk_put_string(struct lk_writer *w, enum lk_major major, const void *bytes, size_t count)
{
    lk_put_head(w, major, count);
    lk_put_raw(w, bytes, count);
}

/* A map of at most 23 pairs: its head is one byte, which counts the keys as they are put. */
static inline size_t lk_begin_map(struct lk_writer *w)
{
    const size_t map = w->used;
    lk_put_byte(w, 0xA0);
    return map;
}

static inline void lk_put_key(struct lk_writer *w, size_t map, int64_t key)
{
    lk_put_int(w, key);
    if (w->status == LK_OK)
        w->out[map]++;
}

/* The bits of a positive float as a half, or -1 when a half would not be the same number. */
static inline int32_t lk_half_of(uint32_t bits)
{
    const int32_t exponent = (int32_t)(bits >> 23) - 127;
    const uint32_t fraction = bits & 0x7FFFFF, whole = fraction | 0x800000;
    if (exponent >= -14 && exponent <= 15 && (fraction & 0x1FFF) == 0)
        return (exponent + 15) << 10 | (int32_t)(fraction >> 13);
    if (exponent >= -24 && exponent < -14 && (whole & ((UINT32_C(1) << (-1 - exponent)) - 1)) == 0)
        return (int32_t)(whole >> (-1 - exponent));
    return -1;
}

/* A number from 0 to below 2^32: an integer when it is whole, else the shortest float that is the same number. */
static inline void lk_put_number(struct lk_writer *w, float value)
{
    uint32_t bits;
    lk_require(w, value >= 0.0f && value < 4294967296.0f);
    if (w->status != LK_OK)
        return;
    if (value == (float)(uint32_t)value) {
        lk_put_int(w, (int64_t)(uint32_t)value);
        return;
    }
    memcpy(&bits, &value, sizeof bits);
    if (lk_half_of(bits) >= 0)
        lk_put_wide(w, 0xF9, (uint64_t)lk_half_of(bits), 2);
    else
        lk_put_wide(w, 0xFA, bits, 4);
}

/* ---- Reading: definite lengths, shortest forms, keys that rise --------------------------------------------------
 * The gateway writes no other; so one frame has one form, and a key that comes twice is seen without memory. */

struct lk_reader {
    const uint8_t *at;
    size_t left;
    enum lk_status status;
};

/* What one initial byte begins; `argument` is a value, a length or a count. */
struct lk_head {
    enum lk_major major;
    unsigned low; /* the low five bits: which simple value, or how wide a float */
    uint64_t argument;
};

static inline void lk_fail(struct lk_reader *r)
{
    r->status = LK_MALFORMED;
    r->left = 0;
}

/* The next `count` bytes, or NULL when they are not there. */
static inline const uint8_t *lk_take_raw(struct lk_reader *r, uint64_t count)
{
    const uint8_t *taken = r->at;
    if (r->status != LK_OK || count > r->left) {
        lk_fail(r);
        return NULL;
    }
    r->at += (size_t)count;
    r->left -= (size_t)count;
    return taken;
}

/* The least argument that needs this many bytes; a smaller one has a shorter form. */
static inline uint64_t lk_least_of_width(unsigned width)
{
    return width == 1 ? 24 : UINT64_C(1) << (4 * width);
}

static inline struct lk_head lk_take_head(struct lk_reader *r)
{
    struct lk_head head = {LK_SIMPLE, 0, 0};
    const uint8_t *bytes = lk_take_raw(r, 1);
    if (bytes == NULL)
        return head;
    head.major = (enum lk_major)(bytes[0] >> 5);
    head.low = bytes[0] & 31;
    head.argument = head.low;
    if (head.low < 24)
        return head;
    const unsigned width = head.low <= 27 ? 1u << (head.low - 24) : 0; /* 28 to 31: reserved, indefinite */
    bytes = width > 0 ? lk_take_raw(r, width) : NULL;
    if (bytes == NULL) {
        lk_fail(r);
        return head;
    }
    head.argument = 0;
    for (unsigned i = 0; i < width; i++)
        head.argument = head.argument << 8 | bytes[i];
    if (head.major != LK_SIMPLE && head.argument < lk_least_of_width(width))
        lk_fail(r);
    return head;
}

/* A head of this major type with an argument from `least` to `most`; `least` after a fault. */
static inline uint64_t lk_take(struct lk_reader *r, enum lk_major major, uint64_t least, uint64_t most)
{
    const struct lk_head head = lk_take_head(r);
    if (head.major != major || head.argument < least || head.argument > most)
        lk_fail(r);
    return r->status == LK_OK ? head.argument : least;
}

/* A byte or text string of `least` to `most` bytes; points into the frame, NULL after a fault. */
static inline const uint8_t *lk_take_string(
    struct lk_reader *r, enum lk_major major, size_t least, size_t most, size_t *count)
{
    *count = (size_t)lk_take(r, major, least, most);
    return lk_take_raw(r, *count);
}

/* A key that no message of this wire knows: text, or an integer beyond 32 bits. */
#define LK_OTHER_KEY INT64_MAX

/* One map being read: its keys must rise as their bytes do, so 0, 1, 2 ... -1, -2 ... and then text. */
struct lk_keys {
    uint64_t left; /* pairs still to come */
    const uint8_t *before;
    size_t before_count;
};

static inline struct lk_keys lk_take_map(struct lk_reader *r)
{
    const struct lk_keys keys = {lk_take(r, LK_MAP, 0, UINT64_MAX), NULL, 0};
    return keys;
}

static inline bool lk_rises(const struct lk_keys *keys, const uint8_t *key, size_t count)
{
    const size_t shorter = count < keys->before_count ? count : keys->before_count;
    return keys->before == NULL || memcmp(key, keys->before, shorter) > 0;
}

/* Whether there is one more pair; its key stands in `key` then, and its value comes next. */
static inline bool lk_take_key(struct lk_reader *r, struct lk_keys *keys, int64_t *key)
{
    const uint8_t *start = r->at;
    if (r->status != LK_OK || keys->left == 0)
        return false;
    const struct lk_head head = lk_take_head(r);
    if (head.major == LK_TEXT)
        lk_take_raw(r, head.argument);
    else if (head.major != LK_UINT && head.major != LK_NEGATIVE)
        lk_fail(r);
    if (r->status != LK_OK || !lk_rises(keys, start, (size_t)(r->at - start))) {
        lk_fail(r);
        return false;
    }
    keys->left--;
    keys->before = start;
    keys->before_count = (size_t)(r->at - start);
    *key = LK_OTHER_KEY;
    if (head.major != LK_TEXT && head.argument <= INT32_MAX)
        *key = head.major == LK_UINT ? (int64_t)head.argument : -1 - (int64_t)head.argument;
    return true;
}

#define LK_MAX_DEPTH 4

/* Steps over one item that this version does not know; arrays and maps nest at most LK_MAX_DEPTH deep, counted with
 * the map that all of it stands in (which is `depth` 1). Whether its text is UTF-8 is not looked at. */
static inline void lk_skip(struct lk_reader *r, unsigned depth)
{
    const struct lk_head head = lk_take_head(r);
    if (r->status != LK_OK || head.major == LK_UINT || head.major == LK_NEGATIVE)
        return;
    if (head.major == LK_BYTES || head.major == LK_TEXT) {
        lk_take_raw(r, head.argument);
    } else if (head.major == LK_ARRAY && depth < LK_MAX_DEPTH) {
        for (uint64_t left = head.argument; left > 0 && r->status == LK_OK; left--)
            lk_skip(r, depth + 1);
    } else if (head.major == LK_MAP && depth < LK_MAX_DEPTH) {
        struct lk_keys keys = {head.argument, NULL, 0};
        int64_t key;
        while (lk_take_key(r, &keys, &key))
            lk_skip(r, depth + 1);
    } else if (head.major != LK_SIMPLE || head.low < 20 || head.low > 22) {
        lk_fail(r); /* a tag, a float, a constant other than false, true and null, or too deep */
    }
}

#endif
