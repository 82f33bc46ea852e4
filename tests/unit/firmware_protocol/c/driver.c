/* Answers one line on standard output per line on standard input, so that tests can ask latchkey.h anything.
 *
 * Frames are hex behind an x, texts are hex of their bytes. Each frame lies in memory of exactly its size, so the
 * sanitizers see any byte that is read or written beside it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "latchkey.h"

#define LINE_BYTES 400000
#define STORE_BYTES 200000

static char line[LINE_BYTES];
static char store[STORE_BYTES]; /* texts of one line, each with its zero byte */
static size_t stored;

static struct lk_key keys[4];
static char device_id[64];
static struct lk_device device = {device_id, keys, 0};
static struct lk_session session;
static struct lk_memory memory;

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    const size_t count = strlen(hex) / 2;
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return count;
}

static const char *text_of(const char *hex)
{
    char *text = store + stored;
    const size_t count = from_hex(hex, (uint8_t *)text);
    text[count] = '\0';
    stored += count + 1;
    return text;
}

/* The bytes of `xHEX` in memory of exactly their size. */
static uint8_t *exactly(const char *token, size_t *count)
{
    uint8_t *bytes = malloc(strlen(token) / 2);
    *count = from_hex(token + 1, bytes);
    return bytes;
}

static void say_hex(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("%02x", bytes[i]);
}

static const char *next_token(void)
{
    return strtok(NULL, " \n");
}

static uint64_t number_of(const char *text)
{
    return text[0] == '-' ? (uint64_t)strtoll(text, NULL, 10) : strtoull(text, NULL, 10);
}

/* The value of a token `name=value` of this name, else NULL. */
static const char *named(const char *token, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(token, name, length) == 0 && token[length] == '=' ? token + length + 1 : NULL;
}

static struct lk_fix fix;
static struct lk_lock lock;
static struct lk_slot slots[128];
static enum lk_alarm alarms[32];
static const char *fault_names[130][32];

static void add_fault(struct lk_faults *faults, const char **names, const char *text)
{
    names[faults->count++] = text;
    faults->names = names;
}

static bool fix_field(struct lk_report *report, const char *token)
{
    const char *value;
    if ((value = named(token, "lat_e7")) != NULL)
        fix.lat_e7 = (int32_t)number_of(value);
    else if ((value = named(token, "lon_e7")) != NULL)
        fix.lon_e7 = (int32_t)number_of(value);
    else if ((value = named(token, "accuracy_m")) != NULL)
        fix.accuracy_m = strtof(value, NULL);
    else if ((value = named(token, "age_ms")) != NULL)
        fix.age_ms = (int64_t)number_of(value);
    else
        return false;
    report->fix = &fix;
    return true;
}

static bool lock_field(struct lk_report *report, const char *token)
{
    const char *value;
    if ((value = named(token, "lock_bolt")) != NULL)
        lock.bolt = (enum lk_bolt)number_of(value);
    else if ((value = named(token, "lock_last_fence")) != NULL)
        lock.last_fence = number_of(value);
    else if ((value = named(token, "lock_openings")) != NULL)
        lock.openings = number_of(value);
    else
        return false;
    report->lock = &lock;
    return true;
}

static bool slot_field(struct lk_report *report, const char *token)
{
    struct lk_slot *slot = &slots[report->slot_count > 0 ? report->slot_count - 1 : 0];
    const char *value;
    if ((value = named(token, "slot")) != NULL)
        slots[report->slot_count++].number = (uint8_t)number_of(value);
    else if ((value = named(token, "slot_unit_id")) != NULL)
        slot->unit_id = text_of(value);
    else if ((value = named(token, "slot_bolt")) != NULL)
        slot->bolt = (enum lk_bolt)number_of(value);
    else if ((value = named(token, "slot_door_closed")) != NULL)
        slot->door_closed = (enum lk_answer)number_of(value);
    else if ((value = named(token, "slot_occupied")) != NULL)
        slot->occupied = (enum lk_answer)number_of(value);
    else if ((value = named(token, "slot_charge_pct")) != NULL)
        slot->has_charge_pct = true, slot->charge_pct = (uint8_t)number_of(value);
    else if ((value = named(token, "slot_last_fence")) != NULL)
        slot->last_fence = number_of(value);
    else if ((value = named(token, "slot_openings")) != NULL)
        slot->openings = number_of(value);
    else if ((value = named(token, "slot_fault")) != NULL)
        add_fault(&slot->faults, fault_names[report->slot_count], text_of(value));
    else
        return false;
    return true;
}

static bool stamp_field(struct lk_report *report, const char *token)
{
    const char *value;
    if ((value = named(token, "boot")) != NULL)
        report->boot = number_of(value);
    else if ((value = named(token, "seq")) != NULL)
        report->has_seq = true, report->seq = number_of(value);
    else if ((value = named(token, "elapsed_ms")) != NULL)
        report->has_elapsed_ms = true, report->elapsed_ms = (int64_t)number_of(value);
    else if ((value = named(token, "reported_at_ms")) != NULL)
        report->has_reported_at_ms = true, report->reported_at_ms = (int64_t)number_of(value);
    else if ((value = named(token, "keep")) != NULL)
        report->keep = number_of(value) != 0;
    else
        return false;
    return true;
}

static bool state_field(struct lk_report *report, const char *token)
{
    const char *value;
    if ((value = named(token, "battery_pct")) != NULL)
        report->has_battery_pct = true, report->battery_pct = (uint8_t)number_of(value);
    else if ((value = named(token, "charging")) != NULL)
        report->charging = (enum lk_answer)number_of(value);
    else if ((value = named(token, "moving")) != NULL)
        report->moving = (enum lk_answer)number_of(value);
    else if ((value = named(token, "fault")) != NULL)
        add_fault(&report->faults, fault_names[0], text_of(value));
    else if ((value = named(token, "alarm")) != NULL)
        alarms[report->alarm_count++] = (enum lk_alarm)number_of(value), report->alarms = alarms;
    else if ((value = named(token, "signal_dbm")) != NULL)
        report->has_signal_dbm = true, report->signal_dbm = (int16_t)number_of(value);
    else if ((value = named(token, "firmware")) != NULL)
        report->firmware = text_of(value);
    else if ((value = named(token, "kept_lost")) != NULL)
        report->kept_lost = number_of(value);
    else
        return false;
    return true;
}

static void say_frame(enum lk_status status, uint8_t *frame, size_t length)
{
    printf("%d ", (int)status);
    say_hex(frame, length);
    free(frame);
}

/* `room=BYTES` stands first in what is written: the frame lies in exactly as many. */
static uint8_t *take_room(size_t *room)
{
    *room = (size_t)number_of(named(next_token(), "room"));
    return malloc(*room);
}

static void unknown(const char *token)
{
    fprintf(stderr, "driver: what is %s?\n", token);
    exit(2);
}

static void write_report(void)
{
    struct lk_report report = {0};
    size_t room, length;
    const char *token;
    memset(&fix, 0, sizeof fix);
    memset(&lock, 0, sizeof lock);
    memset(slots, 0, sizeof slots);
    uint8_t *frame = take_room(&room);
    report.slots = slots;
    while ((token = next_token()) != NULL) {
        if (!stamp_field(&report, token) && !fix_field(&report, token) && !lock_field(&report, token) &&
            !slot_field(&report, token) && !state_field(&report, token))
            unknown(token);
    }
    const enum lk_status status = lk_write_report(&report, frame, room, &length);
    say_frame(status, frame, length);
}

static void write_hello(void)
{
    struct lk_hello hello = {0};
    size_t room, length;
    const char *token, *value;
    uint8_t *frame = take_room(&room);
    while ((token = next_token()) != NULL) {
        if ((value = named(token, "power_on_id")) != NULL)
            hello.power_on_id = number_of(value);
        else if ((value = named(token, "model")) != NULL)
            hello.model = text_of(value);
        else if ((value = named(token, "firmware")) != NULL)
            hello.firmware = text_of(value);
        else if ((value = named(token, "hello_sent_ms")) != NULL)
            hello.has_sent_ms = true, hello.sent_ms = (int64_t)number_of(value);
        else
            unknown(token);
    }
    const enum lk_status status = lk_write_hello(&hello, frame, room, &length);
    say_frame(status, frame, length);
}

static void write_ack(void)
{
    struct lk_ack ack = {0};
    size_t room, length;
    const char *token, *value;
    uint8_t *frame = take_room(&room);
    while ((token = next_token()) != NULL) {
        if ((value = named(token, "command_id")) != NULL)
            from_hex(value, ack.command_id);
        else if ((value = named(token, "result")) != NULL)
            ack.result = (enum lk_result)number_of(value);
        else if ((value = named(token, "boot")) != NULL)
            ack.boot = number_of(value);
        else if ((value = named(token, "fence")) != NULL)
            ack.fence = number_of(value);
        else if ((value = named(token, "slot")) != NULL)
            ack.slot = (uint8_t)number_of(value);
        else if ((value = named(token, "reason")) != NULL)
            strncpy(ack.reason, text_of(value), sizeof ack.reason - 1);
        else if ((value = named(token, "elapsed_ms")) != NULL)
            ack.has_elapsed_ms = true, ack.elapsed_ms = (int64_t)number_of(value);
        else
            unknown(token);
    }
    const enum lk_status status = lk_write_ack(&device, &ack, frame, room, &length);
    say_frame(status, frame, length);
}

static void read_receipt(void)
{
    struct lk_receipt receipt;
    size_t count;
    uint8_t *frame = exactly(next_token(), &count);
    printf("%d", (int)lk_read_receipt(frame, count, &receipt));
    for (size_t i = 0; i < receipt.count; i++)
        printf(" %" PRIu64 ":%" PRIu64, receipt.stamps[i].boot, receipt.stamps[i].seq);
    free(frame);
}

static void read_welcome(bool take)
{
    struct lk_welcome welcome;
    size_t count;
    uint8_t *frame = exactly(next_token(), &count);
    const enum lk_status status = lk_read_welcome(&device, frame, count, &welcome);
    free(frame);
    printf("%d", (int)status);
    if (status != LK_OK)
        return;
    if (take) {
        printf(" %d", lk_welcomed(&session, &welcome, number_of(next_token())));
        return;
    }
    printf(" power_on_id=%" PRIu64 " boot=%" PRIu64 " server_time_ms=%" PRIu64, welcome.power_on_id, welcome.boot,
        welcome.server_time_ms);
    if (welcome.has_hello_sent_ms)
        printf(" hello_sent_ms=%" PRId64, welcome.hello_sent_ms);
}

static void say_setting(const struct lk_setting *setting)
{
    printf(" %s=", setting->name);
    if (setting->type == LK_SETTING_SWITCH)
        printf("%s", setting->on ? "true" : "false");
    else if (setting->type == LK_SETTING_NUMBER)
        printf("%" PRId64, setting->number);
    else
        printf("'"), say_hex((const uint8_t *)setting->text, strlen(setting->text));
}

static void read_command(void)
{
    struct lk_command command;
    struct lk_setting setting;
    size_t count;
    uint8_t *frame = exactly(next_token(), &count);
    const enum lk_status status = lk_read_command(&device, frame, count, &command);
    printf("%d", (int)status);
    if (status == LK_OK) {
        printf(" ");
        say_hex(command.id, LK_ID_BYTES);
        printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d", command.boot, command.fence, command.not_after_s,
            (int)command.kind, command.slot);
        struct lk_reader settings = command.settings;
        for (size_t i = 0; i < command.setting_count; i++) {
            lk_take_setting(&settings, &setting);
            say_setting(&setting);
        }
    }
    free(frame);
}

/* The answer as the signed frame that the device would publish. */
static void say_answer(const struct lk_ack *answer)
{
    uint8_t frame[LK_MAX_ACK_BYTES + 64];
    size_t length;
    printf(" %d ", (int)lk_write_ack(&device, answer, frame, sizeof frame, &length));
    say_hex(frame, length);
}

/* obey NOW FRAME: the verdict, then the answer when there is one. */
static void obey(void)
{
    struct lk_command command;
    struct lk_ack answer;
    size_t count;
    const uint64_t now_ms = number_of(next_token());
    uint8_t *frame = exactly(next_token(), &count);
    const enum lk_status status = lk_read_command(&device, frame, count, &command);
    free(frame);
    printf("%d", (int)status);
    if (status != LK_OK)
        return;
    const enum lk_verdict verdict = lk_may_execute(&memory, &session, &command, now_ms, &answer);
    printf(" %d", (int)verdict);
    if (verdict != LK_SAY_NOTHING)
        say_answer(&answer);
}

/* executed NOW ID RESULT REASON */
static void executed(void)
{
    struct lk_ack answer;
    uint8_t id[LK_ID_BYTES];
    const uint64_t now_ms = number_of(next_token());
    from_hex(next_token(), id);
    const enum lk_result result = (enum lk_result)number_of(next_token());
    const char *reason = next_token();
    const bool said = lk_executed(&memory, &session, id, result, reason == NULL ? "" : reason, now_ms, &answer);
    printf("%d", said);
    if (said)
        say_answer(&answer);
}

/* stands BOOT SERVER_MS TAKEN: a power-on that knows just that, at the moment 0, with all slots' fences taken so far. */
static void stands(void)
{
    memset(&memory, 0, sizeof memory);
    memset(&session, 0, sizeof session);
    session.boot = number_of(next_token());
    const uint64_t server_ms = number_of(next_token());
    session.server_time_ms = server_ms == 0 ? 0 : server_ms - 2;
    const uint64_t taken = number_of(next_token());
    for (size_t i = 0; i <= LK_SLOTS; i++)
        memory.fences[i].taken = taken;
    printf("0");
}

/* power POWER_ON_ID: power went and came back; the memory was in flash. */
static void power(void)
{
    memset(&session, 0, sizeof session);
    session.power_on_id = number_of(next_token());
    lk_power_returned(&memory);
    printf("0");
}

/* device ID [NUMBER:SECRET ...]: a new one. */
static void become(void)
{
    const char *token = next_token();
    memset(&memory, 0, sizeof memory);
    memset(&session, 0, sizeof session);
    strncpy(device_id, token, sizeof device_id - 1);
    device_id[sizeof device_id - 1] = '\0';
    for (device.key_count = 0; (token = next_token()) != NULL; device.key_count++) {
        keys[device.key_count].number = (uint32_t)number_of(token);
        from_hex(strchr(token, ':') + 1, keys[device.key_count].secret);
    }
    printf("0");
}

static void hash(bool keyed)
{
    struct lk_sha256 digest;
    struct lk_hmac mac;
    uint8_t out[LK_SHA256_BYTES];
    size_t key_count = 0, count;
    uint64_t times;
    uint8_t *key = keyed ? exactly(next_token(), &key_count) : NULL;
    times = keyed ? 1 : number_of(next_token());
    uint8_t *bytes = exactly(next_token(), &count);
    lk_sha256_begin(&digest);
    if (keyed)
        lk_hmac_begin(&mac, key, key_count);
    for (; times > 0; times--) {
        if (keyed)
            lk_hmac_add(&mac, bytes, count);
        else
            lk_sha256_add(&digest, bytes, count);
    }
    if (keyed)
        lk_hmac_end(&mac, out);
    else
        lk_sha256_end(&digest, out);
    say_hex(out, sizeof out);
    free(key);
    free(bytes);
}

static void say_topic(void)
{
    char topic[LK_TOPIC_BYTES];
    const char *id = text_of(next_token() + 1);
    const enum lk_status status = lk_topic(id, next_token(), topic);
    const uint32_t crc32 = lk_crc32((const uint8_t *)id, strlen(id));
    printf("%d %s %08" PRIx32, (int)status, status == LK_OK ? topic : "", crc32);
}

static void answer_line(const char *verb)
{
    if (strcmp(verb, "report") == 0)
        write_report();
    else if (strcmp(verb, "hello") == 0)
        write_hello();
    else if (strcmp(verb, "ack") == 0)
        write_ack();
    else if (strcmp(verb, "receipt") == 0)
        read_receipt();
    else if (strcmp(verb, "welcome") == 0)
        read_welcome(false);
    else if (strcmp(verb, "welcomed") == 0)
        read_welcome(true);
    else if (strcmp(verb, "command") == 0)
        read_command();
    else if (strcmp(verb, "obey") == 0)
        obey();
    else if (strcmp(verb, "executed") == 0)
        executed();
    else if (strcmp(verb, "stands") == 0)
        stands();
    else if (strcmp(verb, "power") == 0)
        power();
    else if (strcmp(verb, "greeted") == 0)
        session.hello_sent_ms = number_of(next_token()), printf("0");
    else if (strcmp(verb, "stamped") == 0) {
        struct lk_report report = {0};
        lk_stamp_report(&session, &report, number_of(next_token()));
        printf("%" PRIu64 " %" PRIu64 " %" PRId64, report.boot, report.seq, report.elapsed_ms);
    } else if (strcmp(verb, "clock") == 0) {
        const uint64_t now_ms = number_of(next_token());
        printf("%" PRIu64 " %" PRIu64 " %" PRId64, session.boot, lk_server_time_at_most_ms(&session, now_ms),
            lk_elapsed_ms(&session, now_ms));
    } else if (strcmp(verb, "fences") == 0) {
        const struct lk_fences *fences = &memory.fences[number_of(next_token())];
        printf("%" PRIu64 " %" PRIu64, fences->taken, fences->over);
    } else if (strcmp(verb, "device") == 0)
        become();
    else if (strcmp(verb, "sha256") == 0)
        hash(false);
    else if (strcmp(verb, "hmac") == 0)
        hash(true);
    else if (strcmp(verb, "topic") == 0)
        say_topic();
    else
        unknown(verb);
}

int main(void)
{
    while (fgets(line, sizeof line, stdin) != NULL) {
        stored = 0;
        answer_line(strtok(line, " \n"));
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
