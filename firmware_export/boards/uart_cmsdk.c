/* The UART of Arm's Cortex-M System Design Kit, as on the MPS2 and MPS3 boards. */
#include "uart.h"

#define UART(offset) (*(volatile uint32_t *)(uintptr_t)(UART_ORIGIN + (offset)))
#define UART_DATA UART(0x00u)
#define UART_STATE UART(0x04u)
#define UART_CONTROL UART(0x08u)
#define UART_DIVIDER UART(0x10u)

#define STATE_TRANSMIT_FULL 1u
#define STATE_RECEIVE_FULL 2u
#define CONTROL_BOTH_ON 3u
#define DIVIDER ((UART_CLOCK_HZ) / (UART_BAUD))

void uart_start(void) {
    UART_DIVIDER = DIVIDER < 16u ? 16u : DIVIDER; /* the hardware takes no less */
    UART_CONTROL = CONTROL_BOTH_ON;
}

uint8_t uart_read(void) {
    while ((UART_STATE & STATE_RECEIVE_FULL) == 0u) {
    }
    return (uint8_t)UART_DATA;
}

void uart_write(uint8_t value) {
    while ((UART_STATE & STATE_TRANSMIT_FULL) != 0u) {
    }
    UART_DATA = value;
}
