/* Signed frames and what a device makes of them: welcome, command, ack; which command it may carry out, and once.
 *
 * A signed frame is COSE_Mac0 (RFC 9052) with HMAC 256/256 over a CWT-shaped map (RFC 8392), bound to the topic it is
 * published on. Included by latchkey.h. */
#ifndef LATCHKEY_COMMANDS_H
#define LATCHKEY_COMMANDS_H

#include "latchkey.h"

#ifdef LK_HMAC_HEADER
#include LK_HMAC_HEADER
#else
#include "latchkey_sha256.h"
#endif

#define LK_KEY_BYTES 32
#define LK_TAG_BYTES 32
#define LK_ID_BYTES 16
#define LK_MAX_SEALED_BYTES 2048
#define LK_MAX_ACK_BYTES 256 /* no ack is longer */
#define LK_MAX_SETTINGS 16
#define LK_MAX_SETTING_CHARS 64
#define LK_REMEMBERED 64 /* commands whose answers outlive a loss of power */

/* The highest slot number of this hardware; a bike may say 0, and saves 1.5 KB of memory. */
#ifndef LK_SLOTS
#define LK_SLOTS LK_MAX_SLOTS
#endif

struct lk_key {
    uint32_t number;
    uint8_t secret[LK_KEY_BYTES];
};

/* Who this device is. During a rotation it holds two keys: all verify, the one of the highest number signs. */
struct lk_device {
    const char *id;
    const struct lk_key *keys;
    size_t key_count;
};

enum lk_claim {
    LK_CLAIM_SUBJECT = 2, LK_CLAIM_AUDIENCE = 3, LK_CLAIM_NOT_AFTER = 4, LK_CLAIM_COMMAND_ID = 7,
    LK_CLAIM_BOOT = -70001, LK_CLAIM_FENCE = -70002, LK_CLAIM_KIND = -70003, LK_CLAIM_SLOT = -70004,
    LK_CLAIM_SETTINGS = -70005, LK_CLAIM_POWER_ON_ID = -70006, LK_CLAIM_SERVER_TIME = -70007,
    LK_CLAIM_RESULT = -70008, LK_CLAIM_REASON = -70009, LK_CLAIM_ELAPSED = -70010, LK_CLAIM_HELLO_SENT = -70011,
};

/* ---- The seal ---------------------------------------------------------------------------------------------------- */

/* Up to the kid: tag 17, array of four, protected {1: 5} ("HMAC 256/256"), unprotected {4: kid of four bytes}. */
#define LK_SEAL_BEGIN "\xd1\x84\x43\xa1\x01\x05\xa1\x04\x44"
/* The array ["MAC0", protected, ...] that the tag is made over (RFC 9052, 6.3). */
#define LK_MAC_BEGIN "\x84\x64MAC0\x43\xa1\x01\x05"

static inline void lk_hmac_add_string(struct lk_hmac *mac, const uint8_t *bytes, size_t count)
{
    uint8_t head[9];
    struct lk_writer w = lk_begin(head, sizeof head, sizeof head);
    lk_put_head(&w, LK_BYTES, count);
    lk_hmac_add(mac, head, w.used);
    lk_hmac_add(mac, bytes, count);
}

static inline void lk_tag(
    const struct lk_key *key, const char *topic, const uint8_t *payload, size_t count, uint8_t tag[LK_TAG_BYTES])
{
    struct lk_hmac mac;
    lk_hmac_begin(&mac, key->secret, LK_KEY_BYTES);
    lk_hmac_add(&mac, (const uint8_t *)LK_MAC_BEGIN, sizeof LK_MAC_BEGIN - 1);
    lk_hmac_add_string(&mac, (const uint8_t *)topic, lk_length(topic, LK_TOPIC_BYTES));
    lk_hmac_add_string(&mac, payload, count);
    lk_hmac_end(&mac, tag);
}

/* Takes the same time wherever the first difference is, so that nobody finds a tag byte by byte. */
static inline bool lk_same_tag(const uint8_t *one, const uint8_t *other)
{
    volatile uint8_t difference = 0;
    for (unsigned i = 0; i < LK_TAG_BYTES; i++)
        difference = (uint8_t)(difference | (one[i] ^ other[i]));
    return difference == 0;
}

static inline uint32_t lk_big_endian(const uint8_t bytes[4])
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Opens a frame heard on this channel: `payload` is then a reader over its claims. */
static inline enum lk_status lk_open_sealed(const struct lk_device *device, const char *channel,
    const uint8_t *frame, size_t length, struct lk_reader *payload)
{
    struct lk_reader r = {frame, length, length <= LK_MAX_SEALED_BYTES ? LK_OK : LK_MALFORMED};
    char topic[LK_TOPIC_BYTES];
    uint8_t expected[LK_TAG_BYTES];
    size_t count, tag_count;
    const uint8_t *begin = lk_take_raw(&r, sizeof LK_SEAL_BEGIN - 1);
    const uint8_t *kid = lk_take_raw(&r, 4);
    const uint8_t *claims = lk_take_string(&r, LK_BYTES, 0, LK_MAX_SEALED_BYTES, &count);
    const uint8_t *tag = lk_take_string(&r, LK_BYTES, LK_TAG_BYTES, LK_TAG_BYTES, &tag_count);
    if (r.status != LK_OK || r.left != 0 || memcmp(begin, LK_SEAL_BEGIN, sizeof LK_SEAL_BEGIN - 1) != 0)
        return LK_MALFORMED;
    if (lk_topic(device->id, channel, topic) != LK_OK)
        return LK_BAD_VALUE;
    enum lk_status status = LK_UNKNOWN_KEY;
    for (size_t i = 0; i < device->key_count && status != LK_OK; i++) {
        if (device->keys[i].number == lk_big_endian(kid)) {
            lk_tag(&device->keys[i], topic, claims, count, expected);
            status = lk_same_tag(tag, expected) ? LK_OK : LK_BAD_SEAL;
        }
    }
    const struct lk_reader opened = {claims, count, LK_OK};
    *payload = opened;
    return status;
}

static inline bool lk_take_audience(struct lk_reader *r, const char *device_id)
{
    size_t count;
    const uint8_t *audience = lk_take_string(r, LK_TEXT, 0, LK_MAX_SEALED_BYTES, &count);
    return audience != NULL && count == lk_length(device_id, LK_MAX_ID_CHARS) &&
           memcmp(audience, device_id, count) == 0;
}

static inline int64_t lk_take_int(struct lk_reader *r)
{
    const struct lk_head head = lk_take_head(r);
    if (head.major > LK_NEGATIVE || head.argument > INT64_MAX)
        lk_fail(r);
    if (r->status != LK_OK)
        return 0;
    return head.major == LK_UINT ? (int64_t)head.argument : -1 - (int64_t)head.argument;
}

/* What the claims come to: malformed, for another device, or everything there that is needed. */
static inline enum lk_status lk_judge_claims(const struct lk_reader *r, bool ours, bool complete)
{
    if (r->status != LK_OK || r->left != 0)
        return LK_MALFORMED;
    if (!ours)
        return LK_WRONG_DEVICE;
    return complete ? LK_OK : LK_MALFORMED;
}

/* ---- Welcome ----------------------------------------------------------------------------------------------------- */

struct lk_welcome {
    uint64_t power_on_id;
    uint64_t boot;
    uint64_t server_time_ms;
    bool has_hello_sent_ms;
    int64_t hello_sent_ms;
};

/* A frame of the `welcome` topic. LK_OK says only that the gateway made it for this device: lk_welcomed judges. */
static inline enum lk_status lk_read_welcome(
    const struct lk_device *device, const uint8_t *frame, size_t length, struct lk_welcome *welcome)
{
    struct lk_reader r;
    bool ours = false, has_power_on_id = false, has_time = false;
    int64_t key;
    memset(welcome, 0, sizeof *welcome);
    const enum lk_status status = lk_open_sealed(device, "welcome", frame, length, &r);
    if (status != LK_OK)
        return status;
    struct lk_keys keys = lk_take_map(&r);
    while (lk_take_key(&r, &keys, &key)) {
        switch (key) {
        case LK_CLAIM_AUDIENCE: ours = lk_take_audience(&r, device->id); break;
        case LK_CLAIM_BOOT: welcome->boot = lk_take(&r, LK_UINT, 1, INT64_MAX); break;
        case LK_CLAIM_POWER_ON_ID:
            welcome->power_on_id = lk_take(&r, LK_UINT, 0, UINT64_MAX);
            has_power_on_id = true;
            break;
        case LK_CLAIM_SERVER_TIME:
            welcome->server_time_ms = lk_take(&r, LK_UINT, 0, INT64_MAX);
            has_time = true;
            break;
        case LK_CLAIM_HELLO_SENT:
            welcome->hello_sent_ms = lk_take_int(&r);
            welcome->has_hello_sent_ms = true;
            break;
        default: lk_skip(&r, 1);
        }
    }
    return lk_judge_claims(&r, ours, has_power_on_id && has_time && welcome->boot != 0);
}

/* ---- Command ----------------------------------------------------------------------------------------------------- */

enum lk_kind {
    LK_UNLOCK = 1, LK_LOCK = 2, LK_EJECT = 3, LK_OPEN_SLOT = 4, LK_LOCATE = 5, LK_REBOOT = 6, LK_CONFIGURE = 7,
    LK_QUERY = 8,
};

struct lk_command {
    uint8_t id[LK_ID_BYTES];
    uint64_t boot;
    uint64_t fence;
    uint64_t not_after_s; /* Unix seconds */
    enum lk_kind kind;
    uint8_t slot; /* 0: the device itself */
    size_t setting_count;
    struct lk_reader settings; /* over the frame, which must stay; see lk_take_setting */
};

enum lk_setting_type { LK_SETTING_SWITCH, LK_SETTING_NUMBER, LK_SETTING_TEXT };

struct lk_setting {
    char name[LK_MAX_CODE_CHARS + 1];
    enum lk_setting_type type;
    bool on;
    int64_t number;
    char text[LK_MAX_SETTING_CHARS + 1];
};

/* A text string from the frame, closed with a zero byte; `out` has room for `most + 1`. Printable ASCII only. */
static inline void lk_copy_text(struct lk_reader *r, char *out, size_t most)
{
    size_t count;
    const uint8_t *text = lk_take_string(r, LK_TEXT, 0, most, &count);
    out[0] = '\0';
    if (text == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < ' ' || text[i] > '~')
            lk_fail(r);
        out[i] = (char)text[i];
    }
    out[count] = '\0';
}

/* The next setting of `command->settings`; call it `setting_count` times. */
static inline void lk_take_setting(struct lk_reader *settings, struct lk_setting *setting)
{
    struct lk_reader value;
    memset(setting, 0, sizeof *setting);
    lk_copy_text(settings, setting->name, LK_MAX_CODE_CHARS);
    if (!lk_is_code(setting->name))
        lk_fail(settings);
    value = *settings;
    const struct lk_head head = lk_take_head(&value);
    if (head.major == LK_SIMPLE && (head.low == 20 || head.low == 21)) {
        setting->type = LK_SETTING_SWITCH;
        setting->on = head.low == 21;
        *settings = value;
    } else if (head.major == LK_TEXT) {
        setting->type = LK_SETTING_TEXT;
        lk_copy_text(settings, setting->text, LK_MAX_SETTING_CHARS);
    } else {
        setting->type = LK_SETTING_NUMBER;
        setting->number = lk_take_int(settings);
    }
}

/* Steps over the settings of a command, and refuses them all when one is wrong or a name does not rise. */
static inline void lk_take_settings(struct lk_reader *r, struct lk_command *command)
{
    struct lk_setting setting;
    int64_t key;
    struct lk_keys keys = lk_take_map(r);
    command->setting_count = (size_t)(keys.left <= LK_MAX_SETTINGS ? keys.left : 0);
    command->settings = *r;
    if (keys.left > LK_MAX_SETTINGS)
        lk_fail(r);
    /* A second reader runs ahead to the name, to see that names rise; then name and value are read. */
    for (struct lk_reader ahead = *r; lk_take_key(&ahead, &keys, &key); ahead = *r)
        lk_take_setting(r, &setting);
    if (keys.left > 0)
        lk_fail(r);
}

static inline void lk_take_command_claim(struct lk_reader *r, int64_t key, struct lk_command *command)
{
    size_t count;
    const uint8_t *id;
    switch (key) {
    case LK_CLAIM_COMMAND_ID:
        id = lk_take_string(r, LK_BYTES, LK_ID_BYTES, LK_ID_BYTES, &count);
        if (id != NULL)
            memcpy(command->id, id, LK_ID_BYTES);
        break;
    case LK_CLAIM_NOT_AFTER: command->not_after_s = lk_take(r, LK_UINT, 1, UINT64_C(1) << 33); break;
    case LK_CLAIM_BOOT: command->boot = lk_take(r, LK_UINT, 1, INT64_MAX); break;
    case LK_CLAIM_FENCE: command->fence = lk_take(r, LK_UINT, 1, INT64_MAX); break;
    case LK_CLAIM_KIND: command->kind = (enum lk_kind)lk_take(r, LK_UINT, LK_UNLOCK, LK_QUERY); break;
    case LK_CLAIM_SLOT: command->slot = (uint8_t)lk_take(r, LK_UINT, 0, LK_MAX_SLOTS); break;
    case LK_CLAIM_SETTINGS: lk_take_settings(r, command); break;
    default: lk_skip(r, 1);
    }
}

/* A frame of the `cmd` topic. LK_OK says only that the gateway made it for this device: lk_may_execute judges. */
static inline enum lk_status lk_read_command(
    const struct lk_device *device, const uint8_t *frame, size_t length, struct lk_command *command)
{
    struct lk_reader r;
    bool ours = false, has_id = false;
    int64_t key;
    memset(command, 0, sizeof *command);
    const enum lk_status status = lk_open_sealed(device, "cmd", frame, length, &r);
    if (status != LK_OK)
        return status;
    struct lk_keys keys = lk_take_map(&r);
    while (lk_take_key(&r, &keys, &key)) {
        has_id = has_id || key == LK_CLAIM_COMMAND_ID;
        if (key == LK_CLAIM_AUDIENCE)
            ours = lk_take_audience(&r, device->id);
        else
            lk_take_command_claim(&r, key, command);
    }
    const bool complete = has_id && command->boot && command->fence && command->not_after_s && command->kind;
    return lk_judge_claims(&r, ours, complete);
}

/* ---- Ack --------------------------------------------------------------------------------------------------------- */

enum lk_result { LK_ACCEPTED = 1, LK_EXECUTED = 2, LK_REFUSED = 3, LK_FAILED = 4 };

struct lk_ack {
    uint8_t command_id[LK_ID_BYTES];
    enum lk_result result;
    uint64_t boot;
    uint64_t fence;
    uint8_t slot;
    char reason[LK_MAX_CODE_CHARS + 1]; /* "": none */
    bool has_elapsed_ms;
    int64_t elapsed_ms;
};

static inline void lk_put_ack_claims(struct lk_writer *w, const char *device_id, const struct lk_ack *ack)
{
    const size_t map = lk_begin_map(w);
    lk_put_key(w, map, LK_CLAIM_SUBJECT);
    lk_put_text(w, device_id);
    lk_put_key(w, map, LK_CLAIM_COMMAND_ID);
    lk_put_string(w, LK_BYTES, ack->command_id, LK_ID_BYTES);
    lk_require(w, ack->boot <= INT64_MAX);
    lk_put_key(w, map, LK_CLAIM_BOOT);
    lk_put_head(w, LK_UINT, ack->boot);
    lk_put_unless_zero(w, map, LK_CLAIM_FENCE, ack->fence);
    if (ack->slot != 0)
        lk_put_bounded(w, map, LK_CLAIM_SLOT, ack->slot, 1, LK_MAX_SLOTS);
    lk_put_bounded(w, map, LK_CLAIM_RESULT, (int64_t)ack->result, LK_ACCEPTED, LK_FAILED);
    if (ack->reason[0] != '\0') {
        lk_require(w, lk_is_code(ack->reason));
        lk_put_key(w, map, LK_CLAIM_REASON);
        lk_put_text(w, ack->reason);
    }
    if (ack->has_elapsed_ms)
        lk_put_bounded(w, map, LK_CLAIM_ELAPSED, ack->elapsed_ms, INT64_MIN, INT64_MAX);
}

/* An ack as a signed frame, for the `ack` topic, QoS 1. LK_OK, LK_NO_ROOM, LK_BAD_VALUE, LK_UNKNOWN_KEY without one. */
static inline enum lk_status lk_write_ack(
    const struct lk_device *device, const struct lk_ack *ack, uint8_t *frame, size_t size, size_t *length)
{
    struct lk_writer w = lk_begin(frame, size, LK_MAX_SEALED_BYTES);
    const struct lk_key *key = device->keys;
    uint8_t claims[LK_MAX_ACK_BYTES], tag[LK_TAG_BYTES];
    struct lk_writer inner = lk_begin(claims, sizeof claims, sizeof claims);
    char topic[LK_TOPIC_BYTES];
    *length = 0;
    if (device->key_count == 0)
        return LK_UNKNOWN_KEY;
    for (size_t i = 1; i < device->key_count; i++) {
        if (device->keys[i].number > key->number)
            key = &device->keys[i];
    }
    lk_require(&w, lk_topic(device->id, "ack", topic) == LK_OK);
    lk_put_ack_claims(&inner, device->id, ack);
    lk_require(&w, inner.status == LK_OK);
    if (w.status != LK_OK)
        return w.status;
    lk_tag(key, topic, claims, inner.used, tag);
    lk_put_raw(&w, LK_SEAL_BEGIN, sizeof LK_SEAL_BEGIN - 1);
    for (unsigned shift = 32; shift > 0; shift -= 8)
        lk_put_byte(&w, key->number >> (shift - 8) & 0xFF);
    lk_put_string(&w, LK_BYTES, claims, inner.used);
    lk_put_string(&w, LK_BYTES, tag, sizeof tag);
    return lk_finish(&w, length);
}

/* ---- What a power-on knows: its number and the time ------------------------------------------------------------- */

#define LK_TIME_FRESH_MS 3600000 /* say hello again when the newest answered one was sent longer ago */
#define LK_SLOW_WELCOME_MS 2000  /* say hello again when its answer took longer: the time is known only so roughly */

/* One power-on. Begin with zeros and a random `power_on_id`; set `hello_sent_ms` whenever a hello goes out. */
struct lk_session {
    uint64_t power_on_id;
    uint64_t hello_sent_ms;
    uint64_t boot;           /* 0: not welcomed yet */
    uint64_t seq;            /* of the last report under this boot number */
    uint64_t welcomed_id;    /* the power-on id that the boot number was given to */
    int64_t boot_zero_ms;    /* what `elapsed_ms` counts from */
    int64_t said_ms;         /* the latest Unix milliseconds that a report under this boot number says */
    uint64_t asked_at_ms;    /* when the newest answered hello was sent */
    uint64_t server_time_ms; /* the gateway's time, 0 before the first welcome ... */
    uint64_t told_at_ms;     /* ... as told to the hello sent then */
    uint64_t least_time_ms;  /* what it had reached ... */
    uint64_t least_at_ms;    /* ... when that welcome came */
};

/* Counted from when the hello was *sent*, for a crystal that is up to 100 ppm slow, both ends having rounded down. */
static inline uint64_t lk_told_ms(const struct lk_session *session, uint64_t now_ms)
{
    const uint64_t age_ms = now_ms - session->told_at_ms;
    return session->server_time_ms + age_ms + age_ms / 10000 + 2;
}

/* Counted from when a welcome *came*, for one that is as fast: a hello that somebody else said for later, and whose
 * answer he kept, does not set the time back. */
static inline uint64_t lk_least_ms(const struct lk_session *session, uint64_t now_ms)
{
    const uint64_t age_ms = now_ms - session->least_at_ms;
    return session->least_time_ms == 0 ? 0 : session->least_time_ms + age_ms - age_ms / 10000 - 2;
}

/* Unix milliseconds that the gateway's clock has not passed yet. 0 before the first welcome. */
static inline uint64_t lk_server_time_at_most_ms(const struct lk_session *session, uint64_t now_ms)
{
    const uint64_t told_ms = lk_told_ms(session, now_ms), least_ms = lk_least_ms(session, now_ms);
    if (session->server_time_ms == 0)
        return 0;
    return told_ms > least_ms ? told_ms : least_ms;
}

/* The time counts when it is the first in an hour, or as early as the last one; never one for an older hello. */
static inline void lk_take_time(
    struct lk_session *session, uint64_t server_time_ms, uint64_t asked_at_ms, uint64_t now_ms)
{
    const bool first = session->server_time_ms == 0;
    if (first || server_time_ms > lk_least_ms(session, now_ms) + 2) {
        session->least_time_ms = server_time_ms;
        session->least_at_ms = now_ms;
    }
    if (!first && asked_at_ms < session->asked_at_ms)
        return;
    session->asked_at_ms = asked_at_ms;
    if (first || server_time_ms + 2 <= lk_told_ms(session, asked_at_ms) ||
        asked_at_ms - session->told_at_ms >= LK_TIME_FRESH_MS) {
        session->server_time_ms = server_time_ms;
        session->told_at_ms = asked_at_ms;
    }
}

/* Takes a verified welcome: boot number and time. False, and nothing changes, unless it answers a hello of this
 * power-on and its number rises, or is the same answer again. */
static inline bool lk_welcomed(struct lk_session *session, const struct lk_welcome *welcome, uint64_t now_ms)
{
    const uint64_t asked_at_ms = (uint64_t)welcome->hello_sent_ms;
    const int64_t zero_ms = (int64_t)(asked_at_ms - (welcome->server_time_ms - welcome->boot * 1000));
    if (welcome->power_on_id != session->power_on_id || !welcome->has_hello_sent_ms || welcome->hello_sent_ms < 0)
        return false;
    if (asked_at_ms > session->hello_sent_ms || welcome->boot < session->boot)
        return false;
    if (welcome->boot == session->boot && welcome->power_on_id != session->welcomed_id)
        return false;
    if (welcome->boot > session->boot) {
        session->boot = welcome->boot;
        session->seq = 0;
        session->said_ms = 0;
        session->welcomed_id = welcome->power_on_id;
        session->boot_zero_ms = zero_ms;
    }
    /* The count runs ahead by what a hello was on its way: the least of them counts. */
    if (zero_ms > session->boot_zero_ms)
        session->boot_zero_ms = zero_ms;
    lk_take_time(session, welcome->server_time_ms, asked_at_ms, now_ms);
    return true;
}

/* Since the boot number was given; negative for a moment before that. */
static inline int64_t lk_elapsed_ms(const struct lk_session *session, uint64_t now_ms)
{
    return (int64_t)(now_ms - (uint64_t)session->boot_zero_ms);
}

/* Gives a report its stamp and its time; there must be a boot number. Every report goes through here: no command is
 * judged by an earlier time than a report has said. */
static inline void lk_stamp_report(struct lk_session *session, struct lk_report *report, uint64_t made_at_ms)
{
    report->boot = session->boot;
    report->has_seq = true;
    report->seq = ++session->seq;
    report->has_elapsed_ms = true;
    report->elapsed_ms = lk_elapsed_ms(session, made_at_ms);
    const int64_t said_ms = (int64_t)(session->boot * 1000 + (uint64_t)report->elapsed_ms);
    if (said_ms > session->said_ms)
        session->said_ms = said_ms;
}

/* ---- Which command may be carried out --------------------------------------------------------------------------- */

struct lk_fences {
    uint64_t taken; /* used up: only a higher one is obeyed */
    uint64_t over;  /* of the last command carried out: what reports say as `last_fence` */
};

/* What must outlive a loss of power. All zeros in a new device. */
struct lk_memory {
    struct lk_fences fences[LK_SLOTS + 1]; /* 0: the device itself, its lock */
    struct lk_ack answers[LK_REMEMBERED]; /* `fence` 0: an empty place */
    uint32_t next;                        /* where the next answer goes: the oldest is there */
};

enum lk_verdict {
    LK_SAY_NOTHING = 0, /* the boot number or the time is not known yet: the frame comes again */
    LK_SAY_AGAIN = 1,   /* known: publish the stored answer, do nothing else */
    LK_REFUSE = 2,      /* save the memory, publish the answer */
    LK_OBEY = 3,        /* save the memory, then publish the answer, then act, then lk_executed */
};

static inline bool lk_is_fenced(enum lk_kind kind)
{
    return kind != LK_LOCATE && kind != LK_QUERY;
}

static inline struct lk_ack *lk_remembered(struct lk_memory *memory, const uint8_t id[LK_ID_BYTES])
{
    for (unsigned i = 0; i < LK_REMEMBERED; i++) {
        if (memory->answers[i].fence != 0 && memcmp(memory->answers[i].command_id, id, LK_ID_BYTES) == 0)
            return &memory->answers[i];
    }
    return NULL;
}

/* It was carried out, or is over for want of power. Kinds without a fence took none and leave no mark. */
static inline void lk_end(struct lk_memory *memory, const struct lk_ack *answer)
{
    struct lk_fences *fences = &memory->fences[answer->slot <= LK_SLOTS ? answer->slot : 0];
    if (answer->slot <= LK_SLOTS && fences->over < answer->fence && answer->fence <= fences->taken)
        fences->over = answer->fence;
}

/* Why not, in the order in which every device judges; "" to obey, NULL to say nothing. */
static inline const char *lk_judge(
    const struct lk_memory *memory, const struct lk_session *session, const struct lk_command *command, uint64_t now_ms)
{
    const uint64_t server_ms = lk_server_time_at_most_ms(session, now_ms), end_ms = command->not_after_s * 1000;
    if (command->boot > session->boot || server_ms == 0)
        return NULL;
    if (command->boot < session->boot)
        return "wrong_boot";
    /* A report that says a later time has told the gateway what was not done by then. */
    if (server_ms >= end_ms || session->said_ms >= (int64_t)end_ms)
        return "expired";
    if (command->slot > LK_SLOTS)
        return "no_such_slot";
    if (lk_is_fenced(command->kind) && command->fence <= memory->fences[command->slot].taken)
        return "old_fence";
    return "";
}

static inline void lk_set_reason(struct lk_ack *answer, const char *reason)
{
    memset(answer->reason, 0, sizeof answer->reason);
    memcpy(answer->reason, reason, lk_length(reason, LK_MAX_CODE_CHARS - 1));
}

static inline enum lk_verdict lk_may_execute(struct lk_memory *memory, const struct lk_session *session,
    const struct lk_command *command, uint64_t now_ms, struct lk_ack *answer)
{
    const struct lk_ack *stored = lk_remembered(memory, command->id);
    const char *reason = lk_judge(memory, session, command, now_ms);
    memset(answer, 0, sizeof *answer);
    if (stored != NULL) {
        *answer = *stored;
        return LK_SAY_AGAIN;
    }
    if (reason == NULL)
        return LK_SAY_NOTHING;
    memcpy(answer->command_id, command->id, LK_ID_BYTES);
    answer->result = reason[0] == '\0' ? LK_ACCEPTED : LK_REFUSED;
    answer->boot = session->boot;
    answer->fence = command->fence;
    answer->slot = command->slot;
    lk_set_reason(answer, reason);
    /* An expired one is used up too: a better estimate of the time must not make the refusal untrue. */
    if (command->slot <= LK_SLOTS && lk_is_fenced(command->kind) && command->boot == session->boot) {
        if (command->fence > memory->fences[command->slot].taken)
            memory->fences[command->slot].taken = command->fence;
    }
    /* No fence stops the next copy of a locate or query: their refusal is remembered instead. */
    const bool stays_refused = strcmp(reason, "expired") == 0 && !lk_is_fenced(command->kind);
    if (answer->result == LK_REFUSED && !stays_refused)
        return LK_REFUSE;
    memory->answers[memory->next % LK_REMEMBERED] = *answer;
    memory->next = (memory->next + 1) % LK_REMEMBERED;
    return stays_refused ? LK_REFUSE : LK_OBEY;
}

/* What came of a command that was obeyed: LK_EXECUTED, LK_REFUSED or LK_FAILED, with a reason such as "jammed", or
 * "". True: save the memory, publish the answer. False: no such command is being carried out. */
static inline bool lk_executed(struct lk_memory *memory, const struct lk_session *session,
    const uint8_t id[LK_ID_BYTES], enum lk_result result, const char *reason, uint64_t now_ms, struct lk_ack *answer)
{
    struct lk_ack *stored = lk_remembered(memory, id);
    if (stored == NULL || stored->result != LK_ACCEPTED)
        return false;
    stored->result = result;
    stored->boot = session->boot;
    stored->has_elapsed_ms = session->boot != 0;
    stored->elapsed_ms = stored->has_elapsed_ms ? lk_elapsed_ms(session, now_ms) : 0;
    lk_set_reason(stored, reason);
    if (result != LK_REFUSED)
        lk_end(memory, stored);
    *answer = *stored;
    return true;
}

/* To be called once after power came back, before anything else: what power interrupted is over, and from here on the
 * counter of openings tells whether it opened. */
static inline void lk_power_returned(struct lk_memory *memory)
{
    for (unsigned i = 0; i < LK_REMEMBERED; i++) {
        if (memory->answers[i].fence != 0 && memory->answers[i].result == LK_ACCEPTED)
            lk_end(memory, &memory->answers[i]);
    }
}

#endif
