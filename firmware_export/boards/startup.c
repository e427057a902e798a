/* Start of an image on any Cortex-M: vectors, FPU, data and bss, painted stack. */
#include "board.h"

extern uint32_t edgeprune_data_load[], edgeprune_data_start[], edgeprune_data_end[];
extern uint32_t edgeprune_bss_start[], edgeprune_bss_end[];
extern uint32_t edgeprune_stack_bottom[], edgeprune_stack_top[];

int main(void);
void Reset_Handler(void);
void Default_Handler(void);
void SysTick_Handler(void) __attribute__((weak, alias("Default_Handler"))); /* ticks.c has one */

#define STACK_PAINT 0xC5C5C5C5u
#define EXIT_FAULT 99u

#define CPACR (*(volatile uint32_t *)0xE000ED88u)

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)edgeprune_stack_top, /* initial stack pointer */
    Reset_Handler,
    Default_Handler, Default_Handler, Default_Handler, Default_Handler, Default_Handler, Default_Handler,
    0, 0, 0,
    Default_Handler, Default_Handler,
    0,
    Default_Handler,
    SysTick_Handler,
};

void Default_Handler(void) { board_exit(EXIT_FAULT); }

uint32_t board_stack_bytes(void) {
    return (uint32_t)((uintptr_t)edgeprune_stack_top - (uintptr_t)edgeprune_stack_bottom);
}

uint32_t board_stack_used(void) {
    const volatile uint32_t *lowest = edgeprune_stack_bottom;
    while ((uintptr_t)lowest < (uintptr_t)edgeprune_stack_top && *lowest == STACK_PAINT) {
        lowest++;
    }
    return (uint32_t)((uintptr_t)edgeprune_stack_top - (uintptr_t)lowest);
}

/* Apart from Reset_Handler, so that no vector register is touched before the FPU is on. */
__attribute__((noinline)) static void initialize_memory(void) {
    const uint32_t *from = edgeprune_data_load;
    volatile uint32_t *to;
    uintptr_t stack_pointer;
    __asm__ volatile("mov %0, sp" : "=r"(stack_pointer));
    for (to = edgeprune_stack_bottom; (uintptr_t)to < stack_pointer; to++) {
        *to = STACK_PAINT;
    }
    for (to = edgeprune_data_start; (uintptr_t)to < (uintptr_t)edgeprune_data_end; to++) {
        *to = *from++;
    }
    for (to = edgeprune_bss_start; (uintptr_t)to < (uintptr_t)edgeprune_bss_end; to++) {
        *to = 0u;
    }
}

void Reset_Handler(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= 0xFu << 20; /* FPU and Helium: full access */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    initialize_memory();
    board_exit((uint32_t)main());
}

#ifdef EDGEPRUNE_OWN_STRING
/* Compilers turn loops into these calls; a tool chain without a C library has none. */
void *memcpy(void *restrict to, const void *restrict from, __SIZE_TYPE__ count);
void *memmove(void *to, const void *from, __SIZE_TYPE__ count);
void *memset(void *to, int value, __SIZE_TYPE__ count);

void *memcpy(void *restrict to, const void *restrict from, __SIZE_TYPE__ count) {
    volatile uint8_t *target = to;
    const uint8_t *source = from;
    while (count-- != 0u) {
        *target++ = *source++;
    }
    return to;
}

void *memmove(void *to, const void *from, __SIZE_TYPE__ count) {
    volatile uint8_t *target = to;
    const uint8_t *source = from;
    if ((uintptr_t)target <= (uintptr_t)source) {
        return memcpy(to, from, count);
    }
    while (count-- != 0u) {
        target[count] = source[count];
    }
    return to;
}

void *memset(void *to, int value, __SIZE_TYPE__ count) {
    volatile uint8_t *target = to;
    while (count-- != 0u) {
        *target++ = (uint8_t)value;
    }
    return to;
}
#endif
