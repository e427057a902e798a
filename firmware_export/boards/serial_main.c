/* Main program that offers the model over a UART, in frames (frames.h). It allocates nothing, and
 * whatever the host sends it writes only to the three buffers below.
 *
 * It is no part of the library, so MISRA.md does not list it. Beside what is explained there it
 * deviates from MISRA C:2012 rule 19.2: unions let one buffer be read as words, samples and bytes. */
#include "board.h"
#include "edgeprune_model.h"
#include "frames.h"
#include "uart.h"

#include <stddef.h>

#ifndef EDGEPRUNE_SAMPLE_CHANNELS
#define EDGEPRUNE_SAMPLE_CHANNELS 1
#endif
#define WINDOW_BYTES (EDGEPRUNE_SIGNAL_BYTES + EDGEPRUNE_RHYTHM_BYTES)
#define LEAST_PAYLOAD 96
#define MOST_PAYLOAD (WINDOW_BYTES > LEAST_PAYLOAD ? WINDOW_BYTES : LEAST_PAYLOAD)
#define MOST_ANSWER (EDGEPRUNE_CLASS_COUNT + 4 > 8 ? EDGEPRUNE_CLASS_COUNT + 4 : 8)
/* Sequence and command before the payload, the CRC behind it. */
#define HEAD_BYTES 2u
#define CRC_BYTES 4u
#define OVERHEAD (HEAD_BYTES + CRC_BYTES)
#define MOST_SMALL (2u + FRAME_FRAGMENT)
/* What the CRC of anything with its own CRC behind it comes to. */
#define CRC_RESIDUE 0xDEBB20E3u
#define CRC_START 0xFFFFFFFFu

#ifdef EDGEPRUNE_HOP
#define FLAG_STREAM FRAME_FLAG_STREAM
#else
#define FLAG_STREAM 0u
#endif
#define FLAGS                                                                                      \
    ((EDGEPRUNE_SYNTHETIC ? FRAME_FLAG_SYNTHETIC : 0u) |                                           \
     (EDGEPRUNE_HAS_FRONT_END ? FRAME_FLAG_FRONT_END : 0u) | FLAG_STREAM | FRAME_FLAG_TICKS)

/* Payloads of the commands that take a window or samples: the network's input in place. Words, so
 * that samples can be read in place; the frame's CRC lies behind the payload. */
static union {
    uint32_t words[(MOST_PAYLOAD + 3) / 4 + 1];
    int16_t samples[MOST_PAYLOAD / 2];
    int8_t window[MOST_PAYLOAD];
    uint8_t bytes[MOST_PAYLOAD + CRC_BYTES];
} payload;
/* Payloads of all others, so that what FRAME_WRITE kept survives them. */
static union {
    uint32_t words[(MOST_SMALL + CRC_BYTES + 3u) / 4u];
    uint8_t bytes[MOST_SMALL + CRC_BYTES];
} small;
/* The last answer, to be given again. FRAME_INFO's is made anew. */
static union {
    uint32_t words[(MOST_ANSWER + 3) / 4];
    int8_t logits[MOST_ANSWER];
    uint8_t bytes[MOST_ANSWER];
} answer;
static uint32_t answer_bytes;
static uint32_t answer_command;
/* The CRC of the request that it answered, which tells requests apart by their sequence. */
static uint32_t answered;
/* Whether the host has asked since the start what this is. */
static uint32_t asked;
static uint32_t sequence, command, crc, received_crc;
static uint32_t ticks, ticks_empty;

#if defined(__GNUC__)
#define SMALL __attribute__((noinline)) /* one copy, whatever the optimization */
#else
#define SMALL
#endif

SMALL static void crc_add(uint32_t value) {
    uint32_t bit;
    crc ^= value;
    for (bit = 0; bit < 8u; bit++) {
        crc = crc >> 1 ^ ((crc & 1u) != 0u ? 0xEDB88320u : 0u);
    }
}

SMALL static void give(uint32_t value) {
    crc_add(value);
    if (value == FRAME_ANSWER || value == FRAME_ESCAPE) {
        uart_write((uint8_t)FRAME_ESCAPE);
        value ^= FRAME_TWIST;
    }
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

static uint32_t text_bytes(const char *text) {
    uint32_t count = 0;
    while (text[count] != '\0') {
        count++;
    }
    return count;
}

static void give_info(void) {
    const char *network = edgeprune_network_hash(), *version = edgeprune_version();
    give_pair(FRAME_PROTOCOL | FLAGS << 8);
    give_pair(EDGEPRUNE_CLASS_COUNT);
    give_pair(EDGEPRUNE_SIGNAL_BYTES & 0xFFFFu);
    give_pair((uint32_t)EDGEPRUNE_SIGNAL_BYTES >> 16);
    give_pair(EDGEPRUNE_RHYTHM_BYTES);
    give_pair(MOST_PAYLOAD);
    give_all(network, text_bytes(network));
    give_all(version, text_bytes(version));
}

SMALL static void reply(uint32_t to, const uint8_t *from, uint32_t length) {
    uint32_t sum;
    uart_write((uint8_t)FRAME_ANSWER);
    crc = CRC_START;
    give(sequence);
    give(to);
    if (to == FRAME_INFO) {
        give_info();
    }
    give_all(from, length);
    sum = ~crc;
    give_pair(sum & 0xFFFFu);
    give_pair(sum >> 16);
    uart_write((uint8_t)FRAME_ANSWER);
    uart_write((uint8_t)FRAME_ANSWER);
}

/* Whether a command's payload is a window or samples. */
static uint32_t is_large(uint32_t which) {
    return which == FRAME_CLASSIFY || which == FRAME_STREAM || which == FRAME_SAMPLES;
}

/* Leaves the logits of the window at `payload` behind `skipped` bytes of the answer. */
static uint32_t classify(uint32_t skipped) {
    uint32_t start = board_ticks();
    int result = edgeprune_classify(payload.window, payload.window + EDGEPRUNE_SIGNAL_BYTES,
                                    answer.logits + skipped);
    ticks = board_ticks() - start - ticks_empty;
    answer_bytes = skipped + EDGEPRUNE_CLASS_COUNT;
    return result == EDGEPRUNE_OK ? 0u : FRAME_FAILED;
}

/* Executes a request whose payload is at `payload`. Returns 0, or what is wrong with it. */
static uint32_t work_large(uint32_t which, uint32_t length) {
#ifdef EDGEPRUNE_HOP
    int result;
#endif
    switch (which) {
    case FRAME_CLASSIFY:
        return length == (uint32_t)WINDOW_BYTES ? classify(0u) : FRAME_BAD_LENGTH;
#ifdef EDGEPRUNE_HOP
    case FRAME_STREAM:
        if (length == 0u) {
            edgeprune_stream_reset();
            return 0;
        }
        if (length != EDGEPRUNE_HOP_BYTES) {
            return FRAME_BAD_LENGTH;
        }
        result = edgeprune_stream(payload.window, answer.logits);
        answer_bytes = result == EDGEPRUNE_OK ? EDGEPRUNE_CLASS_COUNT : 0u;
        return result == EDGEPRUNE_OK || result == EDGEPRUNE_NOT_READY ? 0u : FRAME_FAILED;
#endif
#if EDGEPRUNE_HAS_FRONT_END
    case FRAME_SAMPLES:
        answer.words[0] = (uint32_t)edgeprune_push_samples(
            payload.samples, (int32_t)(length / (2u * EDGEPRUNE_SAMPLE_CHANNELS)));
        answer_bytes = 2u;
        return 0;
#endif
    default:
        return FRAME_BAD_COMMAND;
    }
}

static uint32_t keep(uint32_t length) {
    uint32_t offset = small.bytes[0] | (uint32_t)small.bytes[1] << 8, count;
    if (length < 3u || offset + (length - 2u) > (uint32_t)MOST_PAYLOAD) {
        return FRAME_BAD_LENGTH;
    }
    for (count = 2; count < length; count++) {
        payload.bytes[offset + count - 2u] = small.bytes[count];
    }
    return 0;
}

static uint32_t run(uint32_t length) {
    uint32_t count, kept = small.bytes[1] | (uint32_t)small.bytes[2] << 8;
    if (length != 7u || kept > (uint32_t)MOST_PAYLOAD) {
        return FRAME_BAD_LENGTH;
    }
    crc = CRC_START;
    for (count = 0; count < kept; count++) {
        crc_add(payload.bytes[count]);
    }
    for (count = 3; count < 7u; count++) {
        crc_add(small.bytes[count]);
    }
    return crc == CRC_RESIDUE ? work_large(small.bytes[0], kept) : FRAME_BAD_CRC;
}

/* Executes a good request. Returns 0, or what is wrong with it. */
static uint32_t work(uint32_t length) {
    answer_bytes = 0;
    switch (command) {
    case FRAME_INFO:
        asked = 1;
        return 0;
    case FRAME_STACK:
        answer.words[0] = board_stack_used();
        answer.words[1] = board_stack_bytes();
        answer_bytes = 8u;
        return 0;
    case FRAME_CHECK:
        answer.words[0] = (uint32_t)edgeprune_check_weights();
        if (answer.words[0] == EDGEPRUNE_OK) {
            answer.words[0] = (uint32_t)edgeprune_check_arena();
        }
        answer_bytes = 1u;
        return 0;
    case FRAME_TICKS:
        answer.words[0] = ticks;
        answer_bytes = 4u;
        return 0;
    case FRAME_WRITE:
        return keep(length);
    case FRAME_RUN:
        return run(length);
#if EDGEPRUNE_HAS_FRONT_END
    case FRAME_START:
        edgeprune_start();
        return 0;
#ifndef EDGEPRUNE_TAKES_NO_BEATS
    case FRAME_BEAT:
        if (length != 4u) {
            return FRAME_BAD_LENGTH;
        }
        answer.words[0] = (uint32_t)edgeprune_push_beat(small.words[0]);
        answer_bytes = 1u;
        return 0;
#endif
    case FRAME_NEXT:
        if (edgeprune_next_window(payload.window, payload.window + EDGEPRUNE_SIGNAL_BYTES) == 0) {
            return 0;
        }
        answer.words[0] = edgeprune_window_position();
        return classify(4u);
#endif
    default:
        return work_large(command, length);
    }
}

/* Reads what lies before the next flag. Returns how many bytes, not more than can be told from too
 * many; `most` becomes the longest payload that the command can have. */
static uint32_t receive(uint32_t *most) {
    uint32_t value, count = 0;
    uint8_t *to = small.bytes;
    *most = MOST_SMALL;
    crc = CRC_START;
    for (;;) {
        value = uart_read();
        if (value == FRAME_ESCAPE) {
            value = uart_read();
            if (value != FRAME_REQUEST) {
                value = (value ^ FRAME_TWIST) | 0x100u;
            }
        }
        if (value == FRAME_REQUEST) {
            if (count != 0u) {
                return count;
            }
            continue;
        }
        value &= 0xFFu;
        crc_add(value);
        received_crc = received_crc >> 8 | value << 24;
        if (count == 0u) {
            sequence = value;
        } else if (count == 1u) {
            command = value;
            if (is_large(command) != 0u) {
                to = payload.bytes;
                *most = MOST_PAYLOAD;
            }
        } else if (count - HEAD_BYTES < *most + CRC_BYTES) {
            to[count - HEAD_BYTES] = (uint8_t)value;
        } else {
            /* It is too long already. */
        }
        if (count <= *most + OVERHEAD) {
            count++;
        }
    }
}

/* Takes one frame and answers it. */
static void serve(void) {
    static const uint8_t damaged = FRAME_BAD_CRC;
    uint32_t most, count = receive(&most), fault;
    if (count < OVERHEAD || crc != CRC_RESIDUE) {
        reply(FRAME_ERROR, &damaged, 1u);
        return;
    }
    if (asked == 0u || received_crc != answered) {
        if (count - OVERHEAD > most) {
            fault = FRAME_BAD_LENGTH;
        } else if (asked == 0u && command != FRAME_INFO) {
            fault = FRAME_NOT_ASKED;
        } else {
            fault = work(count - OVERHEAD);
        }
        answered = received_crc;
        answer_command = command;
        if (fault != 0u) {
            answer_command |= FRAME_ERROR;
            answer.bytes[0] = (uint8_t)fault;
            answer_bytes = 1u;
        }
    }
    reply(answer_command, answer.bytes, answer_bytes);
}

/* Nobody to report to: after a fault the host hears nothing more, and a watchdog would reset. */
void board_exit(uint32_t code) {
    (void)code;
    for (;;) {
    }
}

int main(void) {
    uint32_t start;
    uart_start();
    board_start_ticks();
    start = board_ticks();
    ticks_empty = board_ticks() - start;
#if EDGEPRUNE_HAS_FRONT_END
    edgeprune_start();
#endif
    for (;;) {
        serve();
    }
}
