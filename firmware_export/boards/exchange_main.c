/* Main program of a test image: works through the exchange block (exchange.h), then ends. */
#include "board.h"
#include "edgeprune_model.h"
#include "exchange.h"
#ifdef EDGEPRUNE_TWIN
#include "edgeprune_network.h"
#endif

#ifdef EXCHANGE_BYTES /* on Linux the block is an object of the command */
#define EXCHANGE_ORIGIN exchange_block
#define EXCHANGE_MAIN exchange_run
#else
#define EXCHANGE_MAIN main
#endif

#ifndef EXCHANGE_ORIGIN
#error "EXCHANGE_ORIGIN is the address of the exchange block; the target's TOML file has it"
#endif

#define SEMIHOSTING_OPEN 0x01u
#define SEMIHOSTING_CLOSE 0x02u
#define SEMIHOSTING_WRITE 0x05u
#define OPEN_WRITE_BINARY 5u

#ifndef EDGEPRUNE_SAMPLE_CHANNELS
#define EDGEPRUNE_SAMPLE_CHANNELS 1
#endif
#define WINDOW_BYTES ((uint32_t)(EDGEPRUNE_SIGNAL_BYTES + EDGEPRUNE_RHYTHM_BYTES))
#define CLASS_COUNT ((uint32_t)EDGEPRUNE_CLASS_COUNT)
#ifdef EXCHANGE_MONITOR
#ifndef EDGEPRUNE_HAS_MONITOR
#error "the library was generated without a monitor"
#endif
/* What the monitor says is one byte behind the logits; the host counts it as one of them. */
#define OUTPUT_BYTES (CLASS_COUNT + 1u)
#else
#define OUTPUT_BYTES CLASS_COUNT
#endif

static exchange_header *const header = (exchange_header *)(uintptr_t)EXCHANGE_ORIGIN;

static void *at(uint32_t offset) { return (void *)((uintptr_t)EXCHANGE_ORIGIN + offset); }

#if defined(EXCHANGE_STREAM)
/* Each window is the one before, moved by EDGEPRUNE_HOP samples. */
static int compute(const int8_t *signal, const int8_t *rhythm, int8_t *logits) {
    if (header->produced == 0u) {
        return edgeprune_classify(signal, rhythm, logits);
    }
    return edgeprune_stream(signal + EDGEPRUNE_SIGNAL_BYTES - EDGEPRUNE_HOP_BYTES, logits);
}
#elif defined(EDGEPRUNE_TWIN)
static int same(const int8_t *first, const int8_t *second) {
    uint32_t index;
    for (index = 0; index < CLASS_COUNT; index++) {
        if (first[index] != second[index]) {
            return 0;
        }
    }
    return 1;
}

/* Whole, in steps, and by the portable twin: all three must agree. */
static int compute(const int8_t *signal, const int8_t *rhythm, int8_t *logits) {
    int8_t others[EDGEPRUNE_CLASS_COUNT];
    int result = header->produced == 0u ? edgeprune_self_test() : EDGEPRUNE_OK;
    if (result == EDGEPRUNE_OK) {
        result = edgeprune_classify(signal, rhythm, logits);
    }
    if (result == EDGEPRUNE_OK) {
        (void)edgeprune_begin(signal, rhythm, others);
        while (edgeprune_step() != 0) {
        }
        result = same(logits, others) ? edgeprune_check_arena() : EDGEPRUNE_SELF_TEST_FAILED;
    }
#if EDGEPRUNE_ASSEMBLY
    if (result == EDGEPRUNE_OK) {
        edgeprune_twin_network(signal, rhythm, others);
        if (!same(logits, others)) {
            result = EDGEPRUNE_SELF_TEST_FAILED;
        } else if (edgeprune_twin_is_intact() == 0) {
            result = EDGEPRUNE_ARENA_DAMAGED;
        }
    }
#endif
    return result;
}
#elif defined(EXCHANGE_MONITOR)
static int compute(const int8_t *signal, const int8_t *rhythm, int8_t *logits) {
    int result = edgeprune_classify(signal, rhythm, logits);
    logits[EDGEPRUNE_CLASS_COUNT] = (int8_t)edgeprune_monitor(signal, logits);
    return result;
}
#else
#define compute edgeprune_classify
#endif

static uint32_t classify(const int8_t *signal, const int8_t *rhythm, int8_t *logits) {
    uint32_t start = board_ticks();
    int result = compute(signal, rhythm, logits);
    uint32_t ticks = board_ticks() - start - header->ticks_empty;
    if (ticks < header->ticks_minimum) {
        header->ticks_minimum = ticks;
    }
    if (ticks > header->ticks_maximum) {
        header->ticks_maximum = ticks;
    }
    header->ticks_low += ticks;
    if (header->ticks_low < ticks) {
        header->ticks_high++;
    }
    header->produced++;
    return result == EDGEPRUNE_OK ? EXCHANGE_DONE : EXCHANGE_MODEL_REFUSED;
}

static uint32_t classify_windows(void) {
    const int8_t *input = at(header->input_offset);
    int8_t *output = at(header->output_offset);
    uint32_t window, status = EXCHANGE_DONE;
    for (window = 0; window < header->count && status == EXCHANGE_DONE; window++) {
        status = classify(input, input + EDGEPRUNE_SIGNAL_BYTES, output);
        input += WINDOW_BYTES;
        output += OUTPUT_BYTES;
    }
    return status;
}

#if EDGEPRUNE_HAS_FRONT_END
static uint32_t classify_samples(void) {
    const int16_t *samples = at(header->input_offset);
    int8_t *output = at(header->output_offset);
    uint32_t sample, status = EXCHANGE_DONE;
#ifndef EDGEPRUNE_TAKES_NO_BEATS
    const uint32_t *beats = at(header->beats_offset);
    uint32_t beat = 0;
#endif
    edgeprune_start();
    for (sample = 0; sample < header->count && status == EXCHANGE_DONE; sample++) {
        (void)edgeprune_push_samples(samples + sample * EDGEPRUNE_SAMPLE_CHANNELS, 1);
#ifndef EDGEPRUNE_TAKES_NO_BEATS
        while (beat < header->beat_count && beats[beat] <= sample) {
            (void)edgeprune_push_beat(beats[beat]);
            beat++;
        }
#endif
        while (edgeprune_next_window(output, output + EDGEPRUNE_SIGNAL_BYTES) != 0) {
            status = classify(output, output + EDGEPRUNE_SIGNAL_BYTES, output + WINDOW_BYTES);
#if defined(EXCHANGE_MONITOR) && defined(EDGEPRUNE_WATCHES_SAMPLES)
            output[WINDOW_BYTES + CLASS_COUNT] |= (int8_t)edgeprune_window_reasons();
#endif
            output += WINDOW_BYTES + OUTPUT_BYTES;
        }
    }
    return status;
}
#endif

static uint32_t work(void) {
    if (header->version != EXCHANGE_VERSION) {
        return EXCHANGE_BAD_VERSION;
    }
    if (header->command == EXCHANGE_STOP) {
        return EXCHANGE_DONE;
    }
    if (header->signal_bytes != EDGEPRUNE_SIGNAL_BYTES ||
        header->rhythm_bytes != EDGEPRUNE_RHYTHM_BYTES || header->class_count != OUTPUT_BYTES) {
        return EXCHANGE_BAD_SIZES;
    }
    if (header->command == EXCHANGE_CLASSIFY) {
        return classify_windows();
    }
#if EDGEPRUNE_HAS_FRONT_END
    if (header->command == EXCHANGE_FRONT_END) {
        return classify_samples();
    }
#endif
    return EXCHANGE_BAD_COMMAND;
}

static int write_to(uint32_t file, const void *from, uint32_t bytes) {
    uint32_t request[3];
    request[0] = file;
    request[1] = (uint32_t)(uintptr_t)from;
    request[2] = bytes;
    return board_semihosting(SEMIHOSTING_WRITE, request) == 0; /* answers the bytes left over */
}

static int write_file(void) {
    const char *path = at(header->file_offset);
    uint32_t record =
        header->command == EXCHANGE_FRONT_END ? WINDOW_BYTES + OUTPUT_BYTES : OUTPUT_BYTES;
    uint32_t request[3], file;
    int written;
    request[0] = (uint32_t)(uintptr_t)path;
    request[1] = OPEN_WRITE_BINARY;
    for (request[2] = 0; path[request[2]] != '\0'; request[2]++) {
    }
    file = (uint32_t)board_semihosting(SEMIHOSTING_OPEN, request);
    if (file == 0xFFFFFFFFu) {
        return 0;
    }
    written = write_to(file, header, sizeof *header) &&
              write_to(file, at(header->output_offset), header->produced * record);
    request[0] = file;
    return board_semihosting(SEMIHOSTING_CLOSE, request) == 0 && written;
}

int EXCHANGE_MAIN(void) {
    uint32_t start, status;
    if (header->magic != EXCHANGE_MAGIC) {
        return (int)EXCHANGE_BAD_MAGIC;
    }
    board_start_ticks();
    start = board_ticks();
    header->ticks_empty = board_ticks() - start;
    header->produced = 0;
    header->ticks_minimum = 0xFFFFFFFFu;
    header->ticks_maximum = 0;
    header->ticks_low = 0;
    header->ticks_high = 0;
    header->status = work();
    header->stack_used = board_stack_used();
    header->stack_bytes = board_stack_bytes();
    status = header->status;
    if (header->file_offset != 0u && !write_file()) {
        status = EXCHANGE_NO_FILE;
        header->status = status;
    }
    return status == EXCHANGE_DONE ? 0 : (int)status;
}
