/* Latchkey for firmware, in C99: the frames of docs/wire.md without allocation, without a clock, without I/O.
 *
 * Include this one; it brings the others. README.md beside it says how, example.c is a whole device. Zero means "not
 * known" in every struct here: `struct lk_report report = {0}` is a report that says nothing but that the device lives.
 * Texts end with a zero byte; NULL is "not known". Times are milliseconds; `now_ms` is the device's own clock, which
 * never goes back while it runs. Every function stays inside the buffers it is given, whatever they hold. */
#ifndef LATCHKEY_H
#define LATCHKEY_H

#include "latchkey_cbor.h"

#define LK_MAX_FRAME_BYTES 16384
#define LK_MAX_SLOTS 96
#define LK_MAX_ID_CHARS 32
#define LK_MAX_CODE_CHARS 24
#define LK_MAX_TEXT_CHARS 48
#define LK_MAX_FAULTS 16
#define LK_MAX_ACCURACY_M 100000.0f
#define LK_MAX_FIX_AGE_MS INT64_C(2592000000)
#define LK_MAX_RECEIPT_STAMPS 64
#define LK_TOPIC_BYTES 50 /* the longest topic and its zero byte */

/* ---- Topics ------------------------------------------------------------------------------------------------------ */

static inline uint32_t lk_crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

/* The length of a text, or `most + 1` when it is longer: never looks further. */
static inline size_t lk_length(const char *text, size_t most)
{
    size_t length = 0;
    while (length <= most && text[length] != '\0')
        length++;
    return length;
}

static inline bool lk_is_letter_or_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Letters, digits and `._:-`, 1 to 32 of them: ids of devices, units and models. */
static inline bool lk_is_id(const char *text)
{
    const size_t length = lk_length(text, LK_MAX_ID_CHARS);
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (!lk_is_letter_or_digit(c) && c != '.' && c != '_' && c != ':' && c != '-')
            return false;
    }
    return length >= 1 && length <= LK_MAX_ID_CHARS;
}

static inline bool lk_is_device_id(const char *text)
{
    return lk_is_id(text) && lk_is_letter_or_digit(text[0]) && strncmp(text, "lk-", 3) != 0;
}

/* 0 to 15: the third level of the topics, in hex. */
static inline unsigned lk_shard(const char *device_id)
{
    return lk_crc32((const uint8_t *)device_id, lk_length(device_id, LK_MAX_ID_CHARS)) & 15;
}

/* The topic of a channel: "hello", "report", "ack" upward; "welcome", "receipt", "cmd" downward. */
static inline enum lk_status lk_topic(const char *device_id, const char *channel, char topic[LK_TOPIC_BYTES])
{
    struct lk_writer w = {(uint8_t *)topic, LK_TOPIC_BYTES, 0, LK_OK};
    lk_require(&w, lk_is_device_id(device_id));
    lk_put_raw(&w, "lk/v1/0", 7);
    lk_put_byte(&w, w.status == LK_OK ? (unsigned)"0123456789abcdef"[lk_shard(device_id)] : 0);
    lk_put_byte(&w, '/');
    lk_put_raw(&w, device_id, lk_length(device_id, LK_MAX_ID_CHARS));
    lk_put_byte(&w, '/');
    lk_put_raw(&w, channel, lk_length(channel, sizeof "welcome") + 1);
    return w.status;
}

/* ---- Reports ----------------------------------------------------------------------------------------------------- */

enum lk_bolt { LK_BOLT_UNKNOWN = 0, LK_BOLT_OPEN = 1, LK_BOLT_CLOSED = 2, LK_BOLT_BETWEEN = 3 };
enum lk_answer { LK_UNKNOWN = 0, LK_NO = 1, LK_YES = 2 };
enum lk_alarm {
    LK_MOVED_WHILE_LOCKED = 1, LK_FELL = 2, LK_TAMPERED = 3, LK_LOW_BATTERY = 4, LK_DOOR_FORCED = 5, LK_OVERHEATED = 6,
};

struct lk_faults {
    const char *const *names; /* such as "motor_stall" */
    size_t count;
};

struct lk_fix {
    int32_t lat_e7;
    int32_t lon_e7;
    float accuracy_m; /* 0: not known */
    int64_t age_ms;   /* how old the fix was when the report was made */
};

struct lk_lock {
    enum lk_bolt bolt; /* needed */
    uint64_t last_fence;
    uint64_t openings;
};

struct lk_slot {
    uint8_t number; /* 1 to 96 */
    const char *unit_id;
    enum lk_bolt bolt;
    enum lk_answer door_closed;
    enum lk_answer occupied;
    bool has_charge_pct;
    uint8_t charge_pct;
    uint64_t last_fence;
    uint64_t openings;
    struct lk_faults faults;
};

struct lk_report {
    uint64_t boot; /* 0 on the basic level */
    bool has_seq;
    uint64_t seq;
    bool has_elapsed_ms;
    int64_t elapsed_ms;
    bool has_reported_at_ms;
    int64_t reported_at_ms;
    bool keep;
    const struct lk_fix *fix;
    const struct lk_lock *lock;
    const struct lk_slot *slots; /* all of them, or none */
    size_t slot_count;
    bool has_battery_pct;
    uint8_t battery_pct;
    enum lk_answer charging;
    enum lk_answer moving;
    struct lk_faults faults;
    const enum lk_alarm *alarms;
    size_t alarm_count;
    bool has_signal_dbm;
    int16_t signal_dbm;
    const char *firmware;
    uint64_t kept_lost;
};

static inline void lk_put_bounded(
    struct lk_writer *w, size_t map, int64_t key, int64_t value, int64_t least, int64_t most)
{
    lk_require(w, value >= least && value <= most);
    lk_put_key(w, map, key);
    lk_put_int(w, value);
}

/* A number of 63 bits that is left out when it is 0. */
static inline void lk_put_unless_zero(struct lk_writer *w, size_t map, int64_t key, uint64_t value)
{
    lk_require(w, value <= INT64_MAX);
    if (value != 0)
        lk_put_bounded(w, map, key, (int64_t)(value & INT64_MAX), 0, INT64_MAX);
}

static inline void lk_put_bolt(struct lk_writer *w, size_t map, int64_t key, enum lk_bolt bolt)
{
    lk_put_bounded(w, map, key, (int64_t)bolt - 1, 0, 2);
}

static inline void lk_put_answer(struct lk_writer *w, size_t map, int64_t key, enum lk_answer answer)
{
    if (answer == LK_UNKNOWN)
        return;
    lk_require(w, answer == LK_NO || answer == LK_YES);
    lk_put_key(w, map, key);
    lk_put_bool(w, answer == LK_YES);
}

static inline bool lk_is_code(const char *text)
{
    const size_t length = lk_length(text, LK_MAX_CODE_CHARS);
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return length >= 1 && length <= LK_MAX_CODE_CHARS;
}

static inline bool lk_is_text(const char *text)
{
    const size_t length = lk_length(text, LK_MAX_TEXT_CHARS);
    for (size_t i = 0; i < length; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return length <= LK_MAX_TEXT_CHARS;
}

static inline void lk_put_text(struct lk_writer *w, const char *text)
{
    lk_put_string(w, LK_TEXT, text, lk_length(text, LK_MAX_TEXT_CHARS));
}

static inline void lk_put_faults(struct lk_writer *w, size_t map, int64_t key, const struct lk_faults *faults)
{
    lk_require(w, faults->count <= LK_MAX_FAULTS);
    if (faults->count == 0 || w->status != LK_OK)
        return;
    lk_put_key(w, map, key);
    lk_put_head(w, LK_ARRAY, faults->count);
    for (size_t i = 0; i < faults->count; i++) {
        lk_require(w, lk_is_code(faults->names[i]));
        lk_put_text(w, faults->names[i]);
    }
}

static inline void lk_put_fix(struct lk_writer *w, const struct lk_fix *fix)
{
    const size_t map = lk_begin_map(w);
    lk_put_bounded(w, map, 0, fix->lat_e7, -900000000, 900000000);
    lk_put_bounded(w, map, 1, fix->lon_e7, -1800000000, 1800000000);
    if (!(fix->accuracy_m == 0.0f)) {
        lk_require(w, fix->accuracy_m >= 0.0f && fix->accuracy_m <= LK_MAX_ACCURACY_M);
        lk_put_key(w, map, 2);
        lk_put_number(w, fix->accuracy_m);
    }
    if (fix->age_ms != 0)
        lk_put_bounded(w, map, 3, fix->age_ms, 0, LK_MAX_FIX_AGE_MS);
}

static inline void lk_put_lock(struct lk_writer *w, const struct lk_lock *lock)
{
    const size_t map = lk_begin_map(w);
    lk_put_bolt(w, map, 0, lock->bolt);
    lk_put_unless_zero(w, map, 1, lock->last_fence);
    lk_put_unless_zero(w, map, 2, lock->openings);
}

static inline void lk_put_slot(struct lk_writer *w, const struct lk_slot *slot)
{
    const size_t map = lk_begin_map(w);
    lk_put_bounded(w, map, 0, slot->number, 1, LK_MAX_SLOTS);
    if (slot->unit_id != NULL) {
        lk_require(w, lk_is_id(slot->unit_id));
        lk_put_key(w, map, 1);
        lk_put_text(w, slot->unit_id);
    }
    if (slot->bolt != LK_BOLT_UNKNOWN)
        lk_put_bolt(w, map, 2, slot->bolt);
    lk_put_answer(w, map, 3, slot->door_closed);
    lk_put_answer(w, map, 4, slot->occupied);
    if (slot->has_charge_pct)
        lk_put_bounded(w, map, 5, slot->charge_pct, 0, 100);
    lk_put_unless_zero(w, map, 6, slot->last_fence);
    lk_put_unless_zero(w, map, 7, slot->openings);
    lk_put_faults(w, map, 8, &slot->faults);
}

static inline void lk_put_slots(struct lk_writer *w, size_t map, const struct lk_slot *slots, size_t count)
{
    uint8_t seen[LK_MAX_SLOTS / 8 + 1] = {0};
    lk_require(w, count <= LK_MAX_SLOTS);
    if (count == 0 || w->status != LK_OK)
        return;
    lk_put_key(w, map, 7);
    lk_put_head(w, LK_ARRAY, count);
    for (size_t i = 0; i < count && w->status == LK_OK; i++) {
        lk_put_slot(w, &slots[i]);
        if (w->status == LK_OK) {
            const unsigned number = slots[i].number;
            lk_require(w, (seen[number / 8] >> (number % 8) & 1) == 0);
            seen[number / 8] = (uint8_t)(seen[number / 8] | 1u << (number % 8));
        }
    }
}

static inline void lk_put_alarms(struct lk_writer *w, size_t map, const enum lk_alarm *alarms, size_t count)
{
    lk_require(w, count <= LK_MAX_FAULTS);
    if (count == 0 || w->status != LK_OK)
        return;
    lk_put_key(w, map, 12);
    lk_put_head(w, LK_ARRAY, count);
    for (size_t i = 0; i < count; i++) {
        lk_require(w, alarms[i] >= LK_MOVED_WHILE_LOCKED && alarms[i] <= LK_OVERHEATED);
        lk_put_int(w, (int64_t)alarms[i]);
    }
}

/* The stamp and the times: keys 0 to 4. A boot number needs a seq and a time. */
static inline void lk_put_stamp(struct lk_writer *w, size_t map, const struct lk_report *report)
{
    const bool timed = report->has_elapsed_ms || report->has_reported_at_ms;
    lk_require(w, report->boot == 0 || (report->has_seq && timed));
    lk_put_unless_zero(w, map, 0, report->boot);
    if (report->has_seq) {
        lk_require(w, report->seq <= INT64_MAX);
        lk_put_bounded(w, map, 1, (int64_t)(report->seq & INT64_MAX), 0, INT64_MAX);
    }
    if (report->has_elapsed_ms)
        lk_put_bounded(w, map, 2, report->elapsed_ms, INT64_MIN, INT64_MAX);
    if (report->has_reported_at_ms)
        lk_put_bounded(w, map, 3, report->reported_at_ms, INT64_MIN, INT64_MAX);
    if (report->keep)
        lk_put_answer(w, map, 4, LK_YES);
}

/* What every writer ends with. The frame of a fault is empty. */
static inline enum lk_status lk_finish(const struct lk_writer *w, size_t *length)
{
    *length = w->status == LK_OK ? w->used : 0;
    return w->status;
}

static inline struct lk_writer lk_begin(uint8_t *frame, size_t size, size_t most)
{
    const struct lk_writer w = {frame, size < most ? size : most, 0, LK_OK};
    return w;
}

/* A report as CBOR, for the `report` topic, QoS 1, not retained. LK_OK, LK_NO_ROOM or LK_BAD_VALUE. */
static inline enum lk_status lk_write_report(
    const struct lk_report *report, uint8_t *frame, size_t size, size_t *length)
{
    struct lk_writer w = lk_begin(frame, size, LK_MAX_FRAME_BYTES);
    const size_t map = lk_begin_map(&w);
    lk_put_stamp(&w, map, report);
    if (report->fix != NULL) {
        lk_put_key(&w, map, 5);
        lk_put_fix(&w, report->fix);
    }
    if (report->lock != NULL) {
        lk_put_key(&w, map, 6);
        lk_put_lock(&w, report->lock);
    }
    lk_put_slots(&w, map, report->slots, report->slot_count);
    if (report->has_battery_pct)
        lk_put_bounded(&w, map, 8, report->battery_pct, 0, 100);
    lk_put_answer(&w, map, 9, report->charging);
    lk_put_answer(&w, map, 10, report->moving);
    lk_put_faults(&w, map, 11, &report->faults);
    lk_put_alarms(&w, map, report->alarms, report->alarm_count);
    if (report->has_signal_dbm)
        lk_put_bounded(&w, map, 13, report->signal_dbm, -150, 0);
    if (report->firmware != NULL) {
        lk_require(&w, lk_is_text(report->firmware));
        lk_put_key(&w, map, 14);
        lk_put_text(&w, report->firmware);
    }
    lk_put_unless_zero(&w, map, 15, report->kept_lost);
    return lk_finish(&w, length);
}

/* ---- Hello and receipts ------------------------------------------------------------------------------------------ */

struct lk_hello {
    uint64_t power_on_id; /* random, once per power-on */
    const char *model;
    const char *firmware; /* "" or NULL: left out */
    bool has_sent_ms;     /* needed for commands */
    int64_t sent_ms;      /* the device's own clock as it sends this */
};

/* A hello as CBOR, for the `hello` topic, QoS 1, after every connect and subscribe. */
static inline enum lk_status lk_write_hello(const struct lk_hello *hello, uint8_t *frame, size_t size, size_t *length)
{
    struct lk_writer w = lk_begin(frame, size, LK_MAX_FRAME_BYTES);
    const size_t map = lk_begin_map(&w);
    lk_require(&w, hello->model != NULL && lk_is_id(hello->model));
    if (w.status != LK_OK)
        return lk_finish(&w, length);
    lk_put_key(&w, map, 0);
    lk_put_head(&w, LK_UINT, hello->power_on_id);
    lk_put_key(&w, map, 1);
    lk_put_text(&w, hello->model);
    if (hello->firmware != NULL && hello->firmware[0] != '\0') {
        lk_require(&w, lk_is_text(hello->firmware));
        lk_put_key(&w, map, 2);
        lk_put_text(&w, hello->firmware);
    }
    if (hello->has_sent_ms)
        lk_put_bounded(&w, map, 3, hello->sent_ms, INT64_MIN, INT64_MAX);
    return lk_finish(&w, length);
}

struct lk_stamp {
    uint64_t boot;
    uint64_t seq;
};

struct lk_receipt {
    size_t count;
    struct lk_stamp stamps[LK_MAX_RECEIPT_STAMPS];
};

static inline void lk_take_stamps(struct lk_reader *r, struct lk_receipt *receipt)
{
    receipt->count = (size_t)lk_take(r, LK_ARRAY, 1, LK_MAX_RECEIPT_STAMPS);
    for (size_t i = 0; i < receipt->count && r->status == LK_OK; i++) {
        lk_take(r, LK_ARRAY, 2, 2);
        receipt->stamps[i].boot = lk_take(r, LK_UINT, 0, INT64_MAX);
        receipt->stamps[i].seq = lk_take(r, LK_UINT, 0, INT64_MAX);
    }
}

/* A frame of the `receipt` topic: forget exactly these kept reports. LK_OK or LK_MALFORMED; then `receipt` is empty. */
static inline enum lk_status lk_read_receipt(const uint8_t *frame, size_t length, struct lk_receipt *receipt)
{
    struct lk_reader r = {frame, length, length <= LK_MAX_FRAME_BYTES ? LK_OK : LK_MALFORMED};
    struct lk_keys keys = lk_take_map(&r);
    int64_t key;
    receipt->count = 0;
    while (lk_take_key(&r, &keys, &key)) {
        if (key == 0)
            lk_take_stamps(&r, receipt);
        else
            lk_skip(&r, 1);
    }
    if (r.status != LK_OK || r.left != 0 || receipt->count == 0) {
        receipt->count = 0;
        return LK_MALFORMED;
    }
    return LK_OK;
}

#include "latchkey_commands.h"

#endif
