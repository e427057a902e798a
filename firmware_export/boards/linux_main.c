/* The command of Arm Linux: reads windows, tells their logits and classes; works an exchange block.
 *
 *     COMMAND                  windows from the standard input, one line of text for each
 *     COMMAND FILE             the same from a file
 *     COMMAND --exchange N     an exchange block (exchange.h) from the standard input, worked through
 *                              by exchange_main.c; its first N bytes to the standard output
 *
 * A window is EDGEPRUNE_SIGNAL_BYTES + EDGEPRUNE_RHYTHM_BYTES int8 values. A line holds the name of
 * the class, then all logits. It is no part of the library, so MISRA.md does not list it. */
#define _POSIX_C_SOURCE 199309L

#include "board.h"
#include "edgeprune_model.h"
#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW_BYTES ((size_t)(EDGEPRUNE_SIGNAL_BYTES + EDGEPRUNE_RHYTHM_BYTES))
#define USAGE_EXIT 64

uint32_t exchange_block[EXCHANGE_BYTES / 4];

/* Nanoseconds, modulo 2**32: a window that takes longer than 4 s is told too short. */
uint32_t board_ticks(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000000000u + (uint32_t)now.tv_nsec;
}

void board_start_ticks(void) {}

/* Linux gives a process stack as it needs it; nothing counts it here. */
uint32_t board_stack_bytes(void) { return 0u; }
uint32_t board_stack_used(void) { return 0u; }

void board_exit(uint32_t code) { exit((int)code); }

intptr_t board_semihosting(uint32_t operation, void *argument) {
    (void)operation;
    (void)argument;
    return -1;
}

static int exchange(size_t bytes) {
    int status;
    (void)fread(exchange_block, 1, sizeof exchange_block, stdin);
    status = exchange_run();
    if (bytes > sizeof exchange_block || fwrite(exchange_block, 1, bytes, stdout) != bytes ||
        fflush(stdout) != 0) {
        return (int)EXCHANGE_NO_FILE;
    }
    return status;
}

static int print(const int8_t *logits) {
    int32_t index;
    (void)printf("%s", edgeprune_class_name(edgeprune_decide(logits)));
    for (index = 0; index < EDGEPRUNE_CLASS_COUNT; index++) {
        (void)printf(" %d", (int)logits[index]);
    }
    return printf("\n") < 0 ? -1 : 0;
}

static int classify(FILE *from) {
    static int8_t window[EDGEPRUNE_SIGNAL_BYTES + EDGEPRUNE_RHYTHM_BYTES];
    int8_t logits[EDGEPRUNE_CLASS_COUNT];
    unsigned long count = 0;
    size_t there;
    int result;
    while ((there = fread(window, 1, WINDOW_BYTES, from)) == WINDOW_BYTES) {
        result = edgeprune_classify(window, window + EDGEPRUNE_SIGNAL_BYTES, logits);
        if (result != EDGEPRUNE_OK) {
            (void)fprintf(stderr, "window %lu: the model refused (code %d)\n", count, result);
            return 1;
        }
        if (print(logits) != 0) {
            return 1;
        }
        count++;
    }
    if (there != 0) {
        (void)fprintf(stderr, "after window %lu: %lu bytes are no window of %lu bytes\n", count,
                      (unsigned long)there, (unsigned long)WINDOW_BYTES);
        return 1;
    }
    return 0;
}

int main(int count, char **arguments) {
    FILE *file;
    int result;
    if (count == 3 && strcmp(arguments[1], "--exchange") == 0) {
        return exchange((size_t)strtoul(arguments[2], NULL, 10));
    }
    if (count == 1) {
        return classify(stdin);
    }
    if (count != 2 || arguments[1][0] == '-') {
        (void)fprintf(stderr,
                      "usage: %s [FILE]\nedgeprune %s, network %s%s\n"
                      "windows of %lu int8 values; one line each: class, then %d logits\n",
                      arguments[0], edgeprune_version(), edgeprune_network_hash(),
                      EDGEPRUNE_SYNTHETIC ? ", TRAINED ON SYNTHETIC DATA" : "",
                      (unsigned long)WINDOW_BYTES, (int)EDGEPRUNE_CLASS_COUNT);
        return USAGE_EXIT;
    }
    file = fopen(arguments[1], "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "%s: cannot be opened\n", arguments[1]);
        return 1;
    }
    result = classify(file);
    (void)fclose(file);
    return result;
}
