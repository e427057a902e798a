/* What startup.c offers to an image's main(). */
#ifndef EDGEPRUNE_BOARD_H
#define EDGEPRUNE_BOARD_H

#include <stdint.h>

/* A request to the debugger or emulator (Arm semihosting); returns its answer. */
intptr_t board_semihosting(uint32_t operation, void *argument);

/* Ends the run; the emulator returns `code` to its caller. */
void board_exit(uint32_t code);

/* SysTick ticks since board_start_ticks(), modulo 2**32; stays 0 where there is no SysTick. */
void board_start_ticks(void);
uint32_t board_ticks(void);

/* Bytes of stack that there are, and that were ever written. */
uint32_t board_stack_bytes(void);
uint32_t board_stack_used(void);

#endif
