/* The exchange block: how a test image gets windows and gives logits, in memory.
 *
 * An emulator (or a debugger on a real board) writes the block at the target's exchange origin
 * before the image starts; the image works through it in one run and ends with the semihosting
 * call SYS_EXIT_EXTENDED. Nothing here is part of the product.
 *
 * The exit code is 0 where the status is EXCHANGE_DONE and the status otherwise.
 *
 * Everything is little endian; offsets count bytes from the start of the block. The numbers below
 * are repeated in edgeprune/devices/exchange.py, where a test compares them with this file.
 *
 * Command 1, classify ready windows:
 *   input_offset   count records of signal_bytes + rhythm_bytes int8 (signal, then rhythm)
 *   output_offset  count records of class_count int8 (the logits)
 * Command 2, front end and classifier from raw samples:
 *   input_offset   count int16 samples; offset a multiple of 2
 *   beats_offset   beat_count uint32 sample positions, ascending; offset a multiple of 4
 *   output_offset  one record a window, `produced` in all: signal_bytes + rhythm_bytes int8 (what
 *                  the front end made), then class_count int8 (the logits)
 * Command 3, stop: nothing is read or written.
 * In an image of the program "monitored" (EXCHANGE_MONITOR) the monitor's reasons are one byte more
 * behind the logits, and class_count counts it.
 *
 * Instructions of one window: everything from the entry of `edgeprune_classify` to its return. Of
 * one layer: everything from the entry of `edgeprune_layer_<nn>_<kernel>` to its return (the value
 * of LR at its entry), so that the shared kernels that it calls are counted with it. Both are ELF
 * symbols. Where instructions cannot be counted from outside (QEMU), ticks_* hold the SysTick
 * ticks of edgeprune_classify; `QemuSettings.instructions` converts them.
 */
#ifndef EDGEPRUNE_EXCHANGE_H
#define EDGEPRUNE_EXCHANGE_H

#include <stdint.h>

#define EXCHANGE_MAGIC 0x45505845u /* "EXPE" in memory */
#define EXCHANGE_VERSION 1u

#define EXCHANGE_CLASSIFY 1u
#define EXCHANGE_FRONT_END 2u
#define EXCHANGE_STOP 3u

#define EXCHANGE_NOT_RUN 0u
#define EXCHANGE_DONE 1u
#define EXCHANGE_BAD_MAGIC 2u     /* only as the exit code: there is no block to write it to */
#define EXCHANGE_BAD_VERSION 3u   /* the block has another layout */
#define EXCHANGE_BAD_SIZES 4u     /* the sizes are not those of the network in the image */
#define EXCHANGE_BAD_COMMAND 5u   /* unknown, or 2 in an image without a front end */
#define EXCHANGE_NO_FILE 6u       /* the host refused the result file */
#define EXCHANGE_MODEL_REFUSED 7u /* the model's own check of itself failed */
#define EXCHANGE_FAULT 99u        /* exit code of the fault handlers */

/* Header, 32 words of 4 bytes; the host fills the inputs, the image the results. */
typedef struct {
    uint32_t magic;         /*  0 in  EXCHANGE_MAGIC */
    uint32_t version;       /*  4 in  EXCHANGE_VERSION */
    uint32_t command;       /*  8 in  EXCHANGE_CLASSIFY, _FRONT_END or _STOP */
    uint32_t count;         /* 12 in  windows (command 1) or samples (command 2) */
    uint32_t status;        /* 16 out EXCHANGE_NOT_RUN before, then one of the above */
    uint32_t signal_bytes;  /* 20 in  length * channels */
    uint32_t rhythm_bytes;  /* 24 in  rhythm features, 0 for a network without that input */
    uint32_t class_count;   /* 28 in */
    uint32_t input_offset;  /* 32 in */
    uint32_t output_offset; /* 36 in */
    uint32_t beat_count;    /* 40 in  command 2 */
    uint32_t beats_offset;  /* 44 in  command 2 */
    uint32_t file_offset;   /* 48 in  NUL-terminated path: the image writes the header and then all
                                      outputs to that file by semihosting; 0: it writes no file */
    uint32_t produced;      /* 52 out windows whose outputs are there */
    uint32_t ticks_minimum; /* 56 out SysTick ticks of the cheapest window (0 without SysTick) */
    uint32_t ticks_maximum; /* 60 out of the dearest */
    uint32_t ticks_low;     /* 64 out of all windows, low and high word */
    uint32_t ticks_high;    /* 68 out */
    uint32_t ticks_empty;   /* 72 out what an empty measurement reads; already subtracted above */
    uint32_t stack_used;    /* 76 out bytes of stack that were ever written */
    uint32_t stack_bytes;   /* 80 out bytes of stack there are */
    uint32_t reserved[11];  /* 84 in  zero */
} exchange_header;

#ifdef EXCHANGE_BYTES /* linux_main.c: a block of so many bytes, and what works through it */
extern uint32_t exchange_block[EXCHANGE_BYTES / 4];
int exchange_run(void);
#endif

#endif
