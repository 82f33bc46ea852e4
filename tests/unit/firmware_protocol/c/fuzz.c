/* fuzz ITERATIONS SECONDS SEED < seeds: damages good frames and hands them to every reader of latchkey.h.
 *
 * A seed is a line `channel HEX`, sealed for bike-000123 with key 7 (the secret is 0, 1 ... 31) unless it is a receipt.
 * Frames lie in memory of exactly their size. Half of the sealed ones are damaged inside and sealed again, so that the
 * readers behind the seal meet the damage. Ends with the number of iterations, or aborts where a promise is broken. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "latchkey.h"

#define MOST_SEEDS 64
#define MOST_BYTES 4096

struct seed {
    char channel[16];
    uint8_t frame[MOST_BYTES];
    size_t count;
};

static struct seed seeds[MOST_SEEDS];
static size_t seed_count;
static uint64_t state;
static struct lk_key key = {7, {0}};
static const struct lk_device device = {"bike-000123", &key, 1};
static unsigned long taken;

static uint32_t chance(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

static void must(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "fuzz: broken: %s\n", what);
        abort();
    }
}

static void read_seeds(void)
{
    static char hex[2 * MOST_BYTES + 1];
    while (seed_count < MOST_SEEDS && scanf("%15s %8192s", seeds[seed_count].channel, hex) == 2) {
        struct seed *seed = &seeds[seed_count++];
        for (seed->count = 0; hex[2 * seed->count] != '\0'; seed->count++) {
            unsigned byte;
            must(sscanf(hex + 2 * seed->count, "%2x", &byte) == 1, "a seed is hex");
            seed->frame[seed->count] = (uint8_t)byte;
        }
    }
    must(seed_count > 0, "there are seeds");
}

/* Takes a piece out, or doubles it. */
static size_t move_piece(uint8_t *bytes, size_t count, bool twice)
{
    const size_t at = chance((uint32_t)count), most = count - at;
    const size_t piece = 1 + chance((uint32_t)(most < 40 ? most : 40));
    if (twice && count + piece > MOST_BYTES)
        return count;
    if (twice)
        memmove(bytes + at + piece, bytes + at, count - at);
    else
        memmove(bytes + at, bytes + at + piece, count - at - piece);
    return twice ? count + piece : count - piece;
}

static size_t damage(uint8_t *bytes, size_t count)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x20, 0x3b, 0x40, 0x5f, 0x60,
        0x7b, 0x7f, 0x80, 0x9b, 0xa0, 0xbb, 0xbf, 0xc0, 0xd1, 0xf4, 0xf6, 0xf9, 0xfb, 0xff};
    for (uint32_t times = 1 + chance(4); times > 0 && count > 0; times--) {
        const size_t at = chance((uint32_t)count);
        switch (chance(6)) {
        case 0: bytes[at] = (uint8_t)(bytes[at] ^ 1u << chance(8)); break;
        case 1: bytes[at] = telling[chance(sizeof telling)]; break;
        case 2: bytes[at] = (uint8_t)chance(256); break;
        case 3: count = chance(8) == 0 ? at : count; break;
        case 4: count = move_piece(bytes, count, false); break;
        default: count = move_piece(bytes, count, true); break;
        }
    }
    return count;
}

/* The claims of a sealed frame, damaged, under a new and right seal. */
static size_t damage_inside(const struct seed *seed, uint8_t *bytes)
{
    struct lk_reader claims;
    char topic[LK_TOPIC_BYTES];
    uint8_t inside[MOST_BYTES], tag[LK_TAG_BYTES];
    must(lk_open_sealed(&device, seed->channel, seed->frame, seed->count, &claims) == LK_OK, "seeds are sealed well");
    const size_t count = claims.left;
    memcpy(inside, claims.at, count);
    const size_t left = damage(inside, count);
    must(lk_topic(device.id, seed->channel, topic) == LK_OK, "a topic");
    lk_tag(&key, topic, inside, left, tag);
    struct lk_writer w = lk_begin(bytes, MOST_BYTES, MOST_BYTES);
    lk_put_raw(&w, seed->frame, sizeof LK_SEAL_BEGIN - 1 + 4);
    lk_put_string(&w, LK_BYTES, inside, left);
    lk_put_string(&w, LK_BYTES, tag, sizeof tag);
    must(w.status == LK_OK, "room for the frame");
    return w.used;
}

static void check_command(const struct lk_command *command)
{
    static struct lk_memory memory;
    struct lk_session session = {.power_on_id = 1, .boot = command->boot, .welcomed_id = 1};
    struct lk_reader settings = command->settings;
    struct lk_setting setting;
    struct lk_ack answer;
    uint8_t frame[LK_MAX_ACK_BYTES + 64];
    size_t length;
    session.server_time_ms = (command->not_after_s - chance(2)) * 1000 + 1;
    taken++;
    must(command->boot >= 1 && command->fence >= 1 && command->not_after_s >= 1, "what is needed is there");
    must(command->kind >= LK_UNLOCK && command->kind <= LK_QUERY && command->slot <= LK_MAX_SLOTS, "bounds");
    for (size_t i = 0; i < command->setting_count; i++)
        lk_take_setting(&settings, &setting);
    must(settings.status == LK_OK, "settings were checked");
    const uint64_t fence = memory.fences[command->slot].taken;
    const enum lk_verdict verdict = lk_may_execute(&memory, &session, command, 0, &answer);
    must(verdict != LK_OBEY || command->fence > fence || !lk_is_fenced(command->kind), "fences rise");
    must(verdict != LK_OBEY || lk_server_time_at_most_ms(&session, 0) < command->not_after_s * 1000, "in time");
    must(verdict == LK_SAY_NOTHING || lk_write_ack(&device, &answer, frame, sizeof frame, &length) == LK_OK, "an ack");
    must(verdict != LK_OBEY || lk_may_execute(&memory, &session, command, 0, &answer) == LK_SAY_AGAIN, "once");
    if (verdict == LK_OBEY && chance(2) == 0)
        must(lk_executed(&memory, &session, command->id, LK_EXECUTED, "", 5, &answer), "an end");
    if (chance(64) == 0)
        memset(&memory, 0, sizeof memory);
}

static void check_welcome(const struct lk_welcome *welcome)
{
    struct lk_session session = {.power_on_id = welcome->power_on_id, .hello_sent_ms = 1000000};
    taken++;
    must(welcome->boot >= 1 && welcome->boot <= INT64_MAX, "a boot number");
    if (lk_welcomed(&session, welcome, 1500000)) {
        must(session.boot == welcome->boot, "the boot number is taken");
        struct lk_report report = {0};
        lk_stamp_report(&session, &report, 2000000);
        must(report.boot == welcome->boot && report.seq == 1, "a stamp");
        (void)lk_server_time_at_most_ms(&session, 2000000);
    }
}

/* Every reader hears every frame; `forged` says that no seal can be right. */
static void hear(const uint8_t *frame, size_t count, bool forged)
{
    struct lk_command command;
    struct lk_welcome welcome;
    struct lk_receipt receipt;
    const enum lk_status as_command = lk_read_command(&device, frame, count, &command);
    const enum lk_status as_welcome = lk_read_welcome(&device, frame, count, &welcome);
    must(!forged || (as_command != LK_OK && as_welcome != LK_OK), "a damaged frame is refused");
    if (as_command == LK_OK)
        check_command(&command);
    if (as_welcome == LK_OK)
        check_welcome(&welcome);
    if (lk_read_receipt(frame, count, &receipt) == LK_OK)
        must(receipt.count >= 1 && receipt.count <= LK_MAX_RECEIPT_STAMPS, "1 to 64 stamps");
}

static void once(void)
{
    static uint8_t bytes[2 * MOST_BYTES];
    const struct seed *seed = &seeds[chance((uint32_t)seed_count)];
    const bool inside = strcmp(seed->channel, "receipt") != 0 && chance(2) == 0;
    size_t count = seed->count;
    if (inside) {
        count = damage_inside(seed, bytes);
    } else {
        memcpy(bytes, seed->frame, count);
        count = damage(bytes, count);
    }
    uint8_t *frame = malloc(count);
    memcpy(frame, bytes, count);
    hear(frame, count, !inside && (count != seed->count || memcmp(frame, seed->frame, count) != 0));
    free(frame);
}

int main(int argc, char **argv)
{
    must(argc == 4, "fuzz ITERATIONS SECONDS SEED");
    const unsigned long most = strtoul(argv[1], NULL, 10);
    const clock_t end = clock() + (clock_t)strtoul(argv[2], NULL, 10) * CLOCKS_PER_SEC;
    unsigned long done = 0;
    state = strtoull(argv[3], NULL, 10) | 1;
    for (uint8_t i = 0; i < sizeof key.secret; i++)
        key.secret[i] = i;
    read_seeds();
    while (done < most && (done % 256 != 0 || clock() < end)) {
        once();
        done++;
    }
    printf("%lu %lu\n", done, taken);
    return 0;
}
