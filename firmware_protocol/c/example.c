/* A whole bike on the full level: hello, reports, kept reports with receipts, commands. No I/O of its own.
 *
 * Your board gives it the functions of `struct board`; your main loop calls device_tick some ten times a second and the
 * others when MQTT says so. Reconnecting (with scatter, see docs/wire.md) is the work of your MQTT client. */
#define LK_SLOTS 0 /* a bike: everything is slot 0, the lock */
#include "latchkey.h"

#define HEARTBEAT_MS 60000
#define HELLO_FIRST_MS 5000
#define HELLO_MOST_MS 240000
#define RESEND_FIRST_MS 30000
#define RESEND_MOST_MS 600000
#define NEW_POWER_ON_MS 604800000 /* seven days */
#define KEPT 64                   /* what a conforming device must hold at least */
#define FRAME_BYTES 160           /* no report of this bike is longer */

struct kept {
    struct lk_stamp stamp;
    size_t length; /* 0: an empty place */
    uint8_t frame[FRAME_BYTES];
};

/* What belongs in flash. All zeros in a new device. */
struct flash {
    struct lk_memory memory;
    struct kept kept[KEPT];
    uint32_t next_kept; /* where to look first for an empty place */
    uint64_t kept_lost;
    bool keep_on_welcome; /* something worth keeping happened before the first boot number */
};

struct board {
    void *self;
    uint64_t (*now_ms)(void *self); /* since power-on; never goes back */
    uint64_t (*random)(void *self); /* 64 bits, truly random */
    void (*subscribe)(void *self, const char *topic);
    bool (*publish)(void *self, const char *topic, const uint8_t *frame, size_t length); /* QoS 1; false: no link */
    void (*save)(void *self, const struct flash *flash); /* returns when it would survive a loss of power */
    void (*measure)(void *self, struct lk_report *report, struct lk_fix *fix, struct lk_lock *lock);
    enum lk_result (*act)(void *self, const struct lk_command *command, const char **reason);
};

struct timer {
    uint64_t due_ms;
    uint64_t delay_ms;
};

struct device {
    const struct board *board;
    const struct lk_device *identity;
    const char *model;
    struct flash *flash;
    struct lk_session session;
    bool linked;
    bool hello_answered;
    struct timer hello;
    uint64_t hello_of_boot_ms; /* when the boot number in use was asked for */
    uint64_t report_due_ms;
    struct timer resend[KEPT];
    bool ack_waits; /* for a link */
    struct lk_ack ack;
};

static uint64_t now_of(const struct device *device)
{
    return device->board->now_ms(device->board->self);
}

/* Sets the timer by its delay, scattered by a quarter, and doubles the delay for the next time. */
static void set_timer(const struct device *device, struct timer *timer, uint64_t most_ms)
{
    const uint64_t half_ms = timer->delay_ms / 2;
    const uint64_t scatter_ms = device->board->random(device->board->self) % (half_ms + 1);
    timer->due_ms = now_of(device) + timer->delay_ms - half_ms / 2 + scatter_ms;
    timer->delay_ms = timer->delay_ms * 2 < most_ms ? timer->delay_ms * 2 : most_ms;
}

static bool publish(const struct device *device, const char *channel, const uint8_t *frame, size_t length)
{
    char topic[LK_TOPIC_BYTES];
    return device->linked && lk_topic(device->identity->id, channel, topic) == LK_OK &&
           device->board->publish(device->board->self, topic, frame, length);
}

static void save(const struct device *device)
{
    device->board->save(device->board->self, device->flash);
}

static void send_hello(struct device *device)
{
    struct lk_session *session = &device->session;
    uint8_t frame[128];
    size_t length;
    session->hello_sent_ms = now_of(device);
    if (session->boot != 0 && session->welcomed_id == session->power_on_id &&
        session->hello_sent_ms - device->hello_of_boot_ms >= NEW_POWER_ON_MS)
        session->power_on_id = device->board->random(device->board->self);
    const struct lk_hello hello = {session->power_on_id, device->model, "1.0.0", true, (int64_t)session->hello_sent_ms};
    if (lk_write_hello(&hello, frame, sizeof frame, &length) == LK_OK)
        publish(device, "hello", frame, length);
    device->hello_answered = false;
    set_timer(device, &device->hello, HELLO_MOST_MS);
}

static void send_ack(struct device *device, const struct lk_ack *ack)
{
    uint8_t frame[LK_MAX_ACK_BYTES];
    size_t length;
    const bool sent = lk_write_ack(device->identity, ack, frame, sizeof frame, &length) == LK_OK &&
                      publish(device, "ack", frame, length);
    device->ack_waits = !sent;
    device->ack = *ack;
}

static bool older(struct lk_stamp one, struct lk_stamp other)
{
    return one.boot < other.boot || (one.boot == other.boot && one.seq < other.seq);
}

/* An empty one: receipts come in any order and leave gaps. Only when there is none, that of the oldest report. */
static uint32_t place_to_keep(const struct flash *flash)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < KEPT; i++) {
        const uint32_t at = (flash->next_kept + i) % KEPT;
        if (flash->kept[at].length == 0)
            return at;
        if (older(flash->kept[at].stamp, flash->kept[oldest].stamp))
            oldest = at;
    }
    return oldest;
}

static void keep(struct device *device, struct lk_stamp stamp, const uint8_t *frame, size_t length)
{
    struct flash *flash = device->flash;
    const uint32_t place = place_to_keep(flash);
    struct kept *kept = &flash->kept[place];
    if (kept->length != 0)
        flash->kept_lost++;
    kept->stamp = stamp;
    kept->length = length;
    memcpy(kept->frame, frame, length);
    device->resend[place].due_ms = now_of(device);
    device->resend[place].delay_ms = RESEND_FIRST_MS;
    flash->next_kept = (place + 1) % KEPT;
    save(device);
}

static void resend_kept(struct device *device)
{
    for (uint32_t i = 0; i < KEPT; i++) {
        const uint32_t at = (device->flash->next_kept + i) % KEPT; /* the older ones first, more or less */
        const struct kept *kept = &device->flash->kept[at];
        struct timer *timer = &device->resend[at];
        if (!device->linked || kept->length == 0 || now_of(device) < timer->due_ms)
            continue;
        publish(device, "report", kept->frame, kept->length);
        set_timer(device, timer, RESEND_MOST_MS);
    }
}

/* States the device. Your main loop calls it, `worth_keeping`, when the bolt moved; the heartbeat calls it without. */
void device_report(struct device *device, bool worth_keeping)
{
    struct lk_report report = {0};
    struct lk_fix fix = {0, 0, 0, 0};
    struct lk_lock lock = {LK_BOLT_UNKNOWN, 0, 0};
    uint8_t frame[FRAME_BYTES];
    size_t length;
    device->report_due_ms = now_of(device) + HEARTBEAT_MS;
    if (device->session.boot == 0) {
        device->flash->kept_lost += device->flash->keep_on_welcome && worth_keeping;
        device->flash->keep_on_welcome = device->flash->keep_on_welcome || worth_keeping;
        if (worth_keeping)
            save(device); /* power may go before the welcome comes */
        return;
    }
    device->board->measure(device->board->self, &report, &fix, &lock);
    report.lock = &lock;
    lock.last_fence = device->flash->memory.fences[0].over;
    lk_stamp_report(&device->session, &report, now_of(device));
    report.keep = worth_keeping;
    report.kept_lost = device->flash->kept_lost;
    if (lk_write_report(&report, frame, sizeof frame, &length) != LK_OK)
        return; /* a value of `measure` is outside its bounds */
    if (!worth_keeping) {
        publish(device, "report", frame, length);
        return;
    }
    const struct lk_stamp stamp = {report.boot, report.seq};
    keep(device, stamp, frame, length);
    resend_kept(device);
}

static void all_kept_due(struct device *device)
{
    for (uint32_t i = 0; i < KEPT; i++) {
        device->resend[i].due_ms = now_of(device);
        device->resend[i].delay_ms = RESEND_FIRST_MS;
    }
}

static void hear_welcome(struct device *device, const uint8_t *frame, size_t length)
{
    struct lk_welcome welcome;
    const uint64_t before = device->session.boot;
    if (lk_read_welcome(device->identity, frame, length, &welcome) != LK_OK ||
        !lk_welcomed(&device->session, &welcome, now_of(device)))
        return;
    device->hello_answered = now_of(device) - (uint64_t)welcome.hello_sent_ms <= LK_SLOW_WELCOME_MS;
    if (device->hello_answered)
        device->hello.delay_ms = HELLO_FIRST_MS;
    else
        set_timer(device, &device->hello, HELLO_MOST_MS); /* the time is known too roughly */
    all_kept_due(device);
    if (device->session.boot == before)
        return;
    device->hello_of_boot_ms = device->session.asked_at_ms;
    const bool worth_keeping = device->flash->keep_on_welcome;
    device->flash->keep_on_welcome = false; /* in flash as soon as the report of it is */
    device_report(device, worth_keeping);
}

static void hear_receipt(struct device *device, const uint8_t *frame, size_t length)
{
    struct lk_receipt receipt;
    if (lk_read_receipt(frame, length, &receipt) != LK_OK)
        return;
    for (size_t i = 0; i < receipt.count; i++) {
        for (uint32_t at = 0; at < KEPT; at++) {
            struct kept *kept = &device->flash->kept[at];
            if (kept->stamp.boot == receipt.stamps[i].boot && kept->stamp.seq == receipt.stamps[i].seq)
                kept->length = 0;
        }
    }
    save(device);
}

static void hear_command(struct device *device, const uint8_t *frame, size_t length)
{
    struct lk_memory *memory = &device->flash->memory;
    struct lk_command command;
    struct lk_ack answer;
    const char *reason = "";
    if (lk_read_command(device->identity, frame, length, &command) != LK_OK)
        return; /* nothing is said to a bad seal */
    const enum lk_verdict verdict = lk_may_execute(memory, &device->session, &command, now_of(device), &answer);
    if (verdict == LK_REFUSE || verdict == LK_OBEY)
        save(device); /* before anything is said or done */
    if (verdict != LK_SAY_NOTHING)
        send_ack(device, &answer);
    if (verdict != LK_OBEY)
        return;
    const enum lk_result result = device->board->act(device->board->self, &command, &reason);
    if (lk_executed(memory, &device->session, command.id, result, reason, now_of(device), &answer)) {
        save(device);
        send_ack(device, &answer);
    }
    device_report(device, lk_is_fenced(command.kind)); /* the evidence */
}

/* ---- What the main loop calls ----------------------------------------------------------------------------------- */

/* Power is there; `flash` is as it was saved last. */
void device_power_on(struct device *device, const struct board *board, const struct lk_device *identity,
    const char *model, struct flash *flash)
{
    memset(device, 0, sizeof *device);
    device->board = board;
    device->identity = identity;
    device->model = model;
    device->flash = flash;
    device->session.power_on_id = board->random(board->self);
    device->hello.delay_ms = HELLO_FIRST_MS;
    lk_power_returned(&flash->memory);
    save(device);
    all_kept_due(device);
}

/* MQTT is connected: listen first, then greet. */
void device_connected(struct device *device)
{
    static const char *const channels[] = {"welcome", "receipt", "cmd"};
    char topic[LK_TOPIC_BYTES];
    for (size_t i = 0; i < 3; i++) {
        if (lk_topic(device->identity->id, channels[i], topic) == LK_OK)
            device->board->subscribe(device->board->self, topic);
    }
    device->linked = true;
    device->report_due_ms = now_of(device);
    device->hello.delay_ms = HELLO_FIRST_MS;
    send_hello(device);
    if (device->ack_waits)
        send_ack(device, &device->ack);
}

void device_lost(struct device *device)
{
    device->linked = false;
}

void device_heard(struct device *device, const char *topic, const uint8_t *frame, size_t length)
{
    const char *channel = strrchr(topic, '/');
    if (channel == NULL)
        return;
    if (strcmp(channel, "/welcome") == 0)
        hear_welcome(device, frame, length);
    else if (strcmp(channel, "/receipt") == 0)
        hear_receipt(device, frame, length);
    else if (strcmp(channel, "/cmd") == 0)
        hear_command(device, frame, length);
}

void device_tick(struct device *device)
{
    const uint64_t now_ms = now_of(device);
    if (!device->linked)
        return;
    const uint64_t asked_at_ms = device->session.asked_at_ms;
    if (device->hello_answered ? now_ms - asked_at_ms >= LK_TIME_FRESH_MS : now_ms >= device->hello.due_ms)
        send_hello(device);
    resend_kept(device);
    if (now_ms >= device->report_due_ms)
        device_report(device, false);
}
