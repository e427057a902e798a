/* Arm semihosting: how an image under an emulator or a debugger asks its host. */
#include "board.h"

#define SEMIHOSTING_EXIT_EXTENDED 0x20u
#define STOPPED_APPLICATION_EXIT 0x20026u

intptr_t board_semihosting(uint32_t operation, void *argument) {
    register intptr_t r0 __asm__("r0") = (intptr_t)operation;
    register void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_exit(uint32_t code) {
    uint32_t reason[2];
    reason[0] = STOPPED_APPLICATION_EXIT;
    reason[1] = code;
    (void)board_semihosting(SEMIHOSTING_EXIT_EXTENDED, reason);
    for (;;) {
    }
}
