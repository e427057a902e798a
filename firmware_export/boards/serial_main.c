/* Main program that offers the model over a UART, in frames (frames.h). */
#include "board.h"
#include "edgeprune_model.h"
#include "frames.h"
#include "uart.h"

#include <stddef.h>

#define WINDOW_BYTES (EDGEPRUNE_SIGNAL_BYTES + EDGEPRUNE_RHYTHM_BYTES)
#define INFO_BYTES 96
/* One buffer: a request's payload is the network's input in place, the answer's lies behind it. */
#define MOST_PAYLOAD (WINDOW_BYTES > INFO_BYTES ? WINDOW_BYTES : INFO_BYTES)
#define MOST_ANSWER (EDGEPRUNE_CLASS_COUNT + 4)

#ifdef EDGEPRUNE_HOP
#define FLAG_STREAM FRAME_FLAG_STREAM
#else
#define FLAG_STREAM 0u
#endif
#define FLAGS                                                                                      \
    ((EDGEPRUNE_SYNTHETIC ? FRAME_FLAG_SYNTHETIC : 0u) |                                           \
     (EDGEPRUNE_HAS_FRONT_END ? FRAME_FLAG_FRONT_END : 0u) | FLAG_STREAM)

/* Words, so that samples and beats can be read in place. */
static union {
    uint32_t words[(MOST_PAYLOAD + 3) / 4];
    int16_t samples[MOST_PAYLOAD / 2];
    int8_t window[MOST_PAYLOAD];
    uint8_t bytes[MOST_PAYLOAD];
} payload;
static int8_t answer[MOST_ANSWER];
static uint16_t crc;

#if defined(__GNUC__)
#define SMALL __attribute__((noinline)) /* one copy, whatever the optimization */
#else
#define SMALL
#endif

SMALL static void crc_add(uint8_t value) {
    uint32_t next = ((uint32_t)crc >> 8 | (uint32_t)crc << 8) ^ value;
    next ^= (next & 0xFFu) >> 4;
    next ^= next << 12;
    next ^= (next & 0xFFu) << 5;
    crc = (uint16_t)next;
}

SMALL static uint32_t take(void) {
    uint8_t value = uart_read();
    crc_add(value);
    return value;
}

static uint32_t take_pair(void) {
    uint32_t low = take();
    return low | take() << 8;
}

SMALL static void give(uint32_t value) {
    crc_add((uint8_t)value);
    uart_write((uint8_t)value);
}

SMALL static void give_pair(uint32_t value) {
    give(value & 0xFFu);
    give(value >> 8 & 0xFFu);
}

SMALL static void give_all(const void *from, uint32_t length) {
    const uint8_t *next = from;
    while (length-- != 0u) {
        give(*next++);
    }
}

static void begin(uint32_t command, uint32_t length) {
    uart_write((uint8_t)FRAME_ANSWER);
    crc = 0xFFFFu;
    give(command);
    give_pair(length);
}

static void end(void) { give_pair(crc); }

static void reply(uint32_t command, const void *from, uint32_t length) {
    begin(command, length);
    give_all(from, length);
    end();
}

static uint32_t text_bytes(const char *text) {
    uint32_t count = 0;
    while (text[count] != '\0') {
        count++;
    }
    return count;
}

static void reply_info(void) {
    const char *network = edgeprune_network_hash(), *version = edgeprune_version();
    uint32_t network_bytes = text_bytes(network), version_bytes = text_bytes(version);
    begin(FRAME_INFO, 12u + network_bytes + version_bytes);
    give_pair(FRAME_PROTOCOL | FLAGS << 8);
    give_pair(EDGEPRUNE_CLASS_COUNT);
    give_pair(EDGEPRUNE_SIGNAL_BYTES & 0xFFFFu);
    give_pair((uint32_t)EDGEPRUNE_SIGNAL_BYTES >> 16);
    give_pair(EDGEPRUNE_RHYTHM_BYTES);
    give_pair(MOST_PAYLOAD);
    give_all(network, network_bytes);
    give_all(version, version_bytes);
    end();
}

/* Answers a good request. Returns 0, or what is wrong with it. */
static uint32_t work(uint32_t command, uint32_t length) {
    uint32_t numbers[2];
#ifdef EDGEPRUNE_HOP
    int result;
#endif
    switch (command) {
    case FRAME_INFO:
        reply_info();
        return 0;
    case FRAME_CLASSIFY:
        if (length != WINDOW_BYTES) {
            return FRAME_BAD_LENGTH;
        }
        if (edgeprune_classify(payload.window, payload.window + EDGEPRUNE_SIGNAL_BYTES, answer) !=
            EDGEPRUNE_OK) {
            return FRAME_FAILED;
        }
        reply(command, answer, EDGEPRUNE_CLASS_COUNT);
        return 0;
    case FRAME_STACK:
        numbers[0] = board_stack_used();
        numbers[1] = board_stack_bytes();
        reply(command, numbers, sizeof numbers);
        return 0;
    case FRAME_CHECK:
        numbers[0] = (uint32_t)edgeprune_check_weights();
        if (numbers[0] == EDGEPRUNE_OK) {
            numbers[0] = (uint32_t)edgeprune_check_arena();
        }
        reply(command, numbers, 1u);
        return 0;
#ifdef EDGEPRUNE_HOP
    case FRAME_STREAM:
        if (length == 0u) {
            edgeprune_stream_reset();
            reply(command, NULL, 0u);
            return 0;
        }
        if (length != EDGEPRUNE_HOP_BYTES) {
            return FRAME_BAD_LENGTH;
        }
        result = edgeprune_stream(payload.window, answer);
        if (result != EDGEPRUNE_OK && result != EDGEPRUNE_NOT_READY) {
            return FRAME_FAILED;
        }
        reply(command, answer, result == EDGEPRUNE_OK ? EDGEPRUNE_CLASS_COUNT : 0u);
        return 0;
#endif
#if EDGEPRUNE_HAS_FRONT_END
    case FRAME_START:
        edgeprune_start();
        reply(command, NULL, 0u);
        return 0;
    case FRAME_SAMPLES:
        numbers[0] = (uint32_t)edgeprune_push_samples(payload.samples, (int32_t)(length / 2u));
        reply(command, numbers, 2u);
        return 0;
    case FRAME_BEAT:
        if (length != 4u) {
            return FRAME_BAD_LENGTH;
        }
        numbers[0] = (uint32_t)edgeprune_push_beat(payload.words[0]);
        reply(command, numbers, 1u);
        return 0;
    case FRAME_NEXT:
        if (edgeprune_next_window(payload.window, payload.window + EDGEPRUNE_SIGNAL_BYTES) == 0) {
            reply(command, NULL, 0u);
            return 0;
        }
        numbers[0] = edgeprune_window_position();
        if (edgeprune_classify(payload.window, payload.window + EDGEPRUNE_SIGNAL_BYTES, answer) !=
            EDGEPRUNE_OK) {
            return FRAME_FAILED;
        }
        begin(command, 4u + EDGEPRUNE_CLASS_COUNT);
        give_all(numbers, 4u);
        give_all(answer, EDGEPRUNE_CLASS_COUNT);
        end();
        return 0;
#endif
    default:
        return FRAME_BAD_COMMAND;
    }
}

/* Takes one frame and answers it. */
static void serve(void) {
    uint32_t command, length, count, found, fault = FRAME_BAD_LENGTH;
    while (uart_read() != FRAME_REQUEST) {
    }
    crc = 0xFFFFu;
    command = take();
    length = take_pair();
    if (length <= MOST_PAYLOAD) {
        for (count = 0; count < length; count++) {
            payload.bytes[count] = (uint8_t)take();
        }
        found = crc;
        fault = found == take_pair() ? work(command, length) : FRAME_BAD_CRC;
    }
    if (fault != 0u) {
        reply(command | FRAME_ERROR, &fault, 1u);
    }
}

/* Nobody to report to: after a fault the host hears nothing more, and a watchdog would reset. */
void board_exit(uint32_t code) {
    (void)code;
    for (;;) {
    }
}

int main(void) {
    uart_start();
#if EDGEPRUNE_HAS_FRONT_END
    edgeprune_start();
#endif
    for (;;) {
        serve();
    }
}
