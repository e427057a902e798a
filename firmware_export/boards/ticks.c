/* The SysTick timer as a clock. */
#include "board.h"

void SysTick_Handler(void);

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define SYSTICK_MASK 0xFFFFFFu

static volatile uint32_t systick_wraps;

void SysTick_Handler(void) { systick_wraps++; }

void board_start_ticks(void) {
    SYSTICK_RELOAD = SYSTICK_MASK;
    SYSTICK_VALUE = 0u;
    SYSTICK_CONTROL = 7u; /* core clock, interrupt at each wrap, on */
}

uint32_t board_ticks(void) {
    uint32_t wraps, value;
    do {
        wraps = systick_wraps;
        value = SYSTICK_VALUE;
    } while (wraps != systick_wraps);
    return (wraps << 24) - (value & SYSTICK_MASK);
}
