/* The UART of Nordic's nRF51 and nRF52 (the one without DMA); pins as on the micro:bit. */
#include "uart.h"

#define UART(offset) (*(volatile uint32_t *)(uintptr_t)(UART_ORIGIN + (offset)))
#define UART_START_RECEIVER UART(0x000u)
#define UART_START_TRANSMITTER UART(0x008u)
#define UART_RECEIVED UART(0x108u)
#define UART_TRANSMITTED UART(0x11Cu)
#define UART_ENABLE UART(0x500u)
#define UART_PIN_TRANSMIT UART(0x50Cu)
#define UART_PIN_RECEIVE UART(0x514u)
#define UART_RECEIVE_DATA UART(0x518u)
#define UART_TRANSMIT_DATA UART(0x51Cu)
#define UART_BAUD_RATE UART(0x524u)

#define ENABLED 4u
#define PIN_TRANSMIT 24u
#define PIN_RECEIVE 25u
/* The register counts the baud rate in steps of 16 MHz / 2**32, in its upper 20 bits. */
#define BAUD_RATE ((uint32_t)((((uint64_t)(UART_BAUD) << 32) / 16000000u + 0x800u) & 0xFFFFF000u))

void uart_start(void) {
    UART_PIN_TRANSMIT = PIN_TRANSMIT;
    UART_PIN_RECEIVE = PIN_RECEIVE;
    UART_BAUD_RATE = BAUD_RATE;
    UART_ENABLE = ENABLED;
    UART_START_TRANSMITTER = 1u;
    UART_START_RECEIVER = 1u;
}

uint8_t uart_read(void) {
    while (UART_RECEIVED == 0u) {
    }
    UART_RECEIVED = 0u; /* before the data are read: the next byte sets it again */
    return (uint8_t)UART_RECEIVE_DATA;
}

void uart_write(uint8_t value) {
    UART_TRANSMITTED = 0u;
    UART_TRANSMIT_DATA = value;
    while (UART_TRANSMITTED == 0u) {
    }
}
