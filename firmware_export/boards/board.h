/* What a board offers to an image's main(): startup.c, semihosting.c, ticks.c; on Linux
 * linux_main.c. */
#ifndef EDGEPRUNE_BOARD_H
#define EDGEPRUNE_BOARD_H

#include <stdint.h>

/* Bytes of stack that there are, and that were ever written (startup.c). */
uint32_t board_stack_bytes(void);
uint32_t board_stack_used(void);

/* Called with main()'s result or after a fault, does not return. semihosting.c's ends the run: the
 * emulator returns `code` to its caller. A program that runs on its own has one of its own. */
void board_exit(uint32_t code);

/* A request to the debugger or emulator (semihosting.c); returns its answer. */
intptr_t board_semihosting(uint32_t operation, void *argument);

/* SysTick ticks since board_start_ticks(), modulo 2**32 (ticks.c); stays 0 without a SysTick. On
 * Linux nanoseconds. */
void board_start_ticks(void);
uint32_t board_ticks(void);

#endif
