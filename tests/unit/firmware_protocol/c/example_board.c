/* The board of example.c for tests: lines on standard input are what happens to it, lines on standard output what it
 * does. One event is one line; its answer ends with the line `.`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "example.c"

static struct flash flash, saved; /* as the device has it, and as a loss of power leaves it */
static struct device device;
static struct lk_key key = {7, {0}};
static const struct lk_device identity = {"bike-000123", &key, 1};
static uint64_t now_ms;
static uint64_t drawn = 0x9E3779B97F4A7C15;
static enum lk_bolt bolt = LK_BOLT_CLOSED;
static uint64_t openings;
static bool jammed;

static uint64_t board_now_ms(void *self)
{
    (void)self;
    return now_ms;
}

static uint64_t board_random(void *self)
{
    (void)self;
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return drawn;
}

static void board_subscribe(void *self, const char *topic)
{
    (void)self;
    printf("subscribe %s\n", topic);
}

static bool board_publish(void *self, const char *topic, const uint8_t *frame, size_t length)
{
    (void)self;
    printf("publish %s ", topic);
    for (size_t i = 0; i < length; i++)
        printf("%02x", frame[i]);
    printf("\n");
    return true;
}

static void board_save(void *self, const struct flash *to_save)
{
    (void)self;
    saved = *to_save;
    printf("save\n");
}

static void board_measure(void *self, struct lk_report *report, struct lk_fix *fix, struct lk_lock *lock)
{
    (void)self;
    fix->lat_e7 = 13521000;
    fix->lon_e7 = 1038198000;
    fix->accuracy_m = 8.5f;
    report->fix = fix;
    report->has_battery_pct = true;
    report->battery_pct = 71;
    lock->bolt = bolt;
    lock->openings = openings;
}

static enum lk_result board_act(void *self, const struct lk_command *command, const char **reason)
{
    (void)self;
    printf("act %d\n", (int)command->kind);
    if (command->kind != LK_UNLOCK && command->kind != LK_LOCK) {
        *reason = "unsupported";
        return LK_REFUSED;
    }
    if (jammed) {
        *reason = "jammed";
        return LK_FAILED;
    }
    openings += command->kind == LK_UNLOCK && bolt != LK_BOLT_OPEN;
    bolt = command->kind == LK_UNLOCK ? LK_BOLT_OPEN : LK_BOLT_CLOSED;
    return LK_EXECUTED;
}

static const struct board board = {NULL, board_now_ms, board_random, board_subscribe, board_publish, board_save,
    board_measure, board_act};

static void power_on(void)
{
    now_ms = 0;
    flash = saved;
    device_power_on(&device, &board, &identity, "bike-x1", &flash);
}

static void heard(const char *topic, const char *hex)
{
    const size_t length = strlen(hex) / 2;
    uint8_t *frame = malloc(length);
    for (size_t i = 0; i < length; i++) {
        const char pair[] = {hex[2 * i], hex[2 * i + 1], '\0'};
        frame[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    device_heard(&device, topic, frame, length);
    free(frame);
}

static void happen(const char *event)
{
    const char *word = strtok(NULL, " \n");
    if (strcmp(event, "power") == 0)
        power_on();
    else if (strcmp(event, "connected") == 0)
        device_connected(&device);
    else if (strcmp(event, "lost") == 0)
        device_lost(&device);
    else if (strcmp(event, "heard") == 0)
        heard(word, strtok(NULL, " \n"));
    else if (strcmp(event, "jam") == 0)
        jammed = true;
    else if (strcmp(event, "closed") == 0)
        bolt = LK_BOLT_CLOSED, device_report(&device, true);
    else if (strcmp(event, "at") == 0)
        now_ms = strtoull(word, NULL, 10), device_tick(&device);
}

int main(void)
{
    static char line[8192];
    for (uint8_t i = 0; i < sizeof key.secret; i++)
        key.secret[i] = i;
    power_on();
    while (fgets(line, sizeof line, stdin) != NULL) {
        happen(strtok(line, " \n"));
        printf(".\n");
        fflush(stdout);
    }
    return 0;
}
