/* USART3 of ST's STM32H7 on PD8 and PD9: the port that a Nucleo-144's ST-LINK offers over USB. The
 * clocks are those after reset: 64 MHz of the internal oscillator for core and USART (RM0433). */
#include "uart.h"

#define AT(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define RCC_AHB4ENR AT(0x580244E0u)
#define RCC_APB1LENR AT(0x580244E8u)
#define GPIOD(offset) AT(0x58020C00u + (offset))
#define GPIOD_MODE GPIOD(0x00u)
#define GPIOD_ALTERNATE_HIGH GPIOD(0x24u)
#define UART(offset) AT(UART_ORIGIN + (offset))
#define UART_CONTROL_1 UART(0x00u)
#define UART_CONTROL_3 UART(0x08u)
#define UART_DIVIDER UART(0x0Cu)
#define UART_STATE UART(0x1Cu)
#define UART_RECEIVE_DATA UART(0x24u)
#define UART_TRANSMIT_DATA UART(0x28u)

#define GPIODEN (1u << 3)
#define USART3EN (1u << 18)
#define BOTH_MODES (0xFu << 16)      /* two bits each for PD8 and PD9 */
#define BOTH_ALTERNATE (0xAu << 16)  /* 2: alternate function */
#define BOTH_FUNCTIONS 0xFFu         /* four bits each */
#define BOTH_USART3 0x77u            /* 7: USART3 */
#define CONTROL_ON 0xDu              /* UE, RE, TE */
#define CONTROL_NO_OVERRUN (1u << 12) /* OVRDIS */
#define STATE_RECEIVED (1u << 5)
#define STATE_TRANSMIT_EMPTY (1u << 7)

void uart_start(void) {
    RCC_AHB4ENR |= GPIODEN;
    RCC_APB1LENR |= USART3EN;
    (void)RCC_APB1LENR; /* the clock is there two cycles later */
    GPIOD_ALTERNATE_HIGH = (GPIOD_ALTERNATE_HIGH & ~BOTH_FUNCTIONS) | BOTH_USART3;
    GPIOD_MODE = (GPIOD_MODE & ~BOTH_MODES) | BOTH_ALTERNATE;
    UART_DIVIDER = (UART_CLOCK_HZ + UART_BAUD / 2u) / UART_BAUD;
    UART_CONTROL_3 = CONTROL_NO_OVERRUN;
    UART_CONTROL_1 = CONTROL_ON;
}

uint8_t uart_read(void) {
    while ((UART_STATE & STATE_RECEIVED) == 0u) {
    }
    return (uint8_t)UART_RECEIVE_DATA;
}

void uart_write(uint8_t value) {
    while ((UART_STATE & STATE_TRANSMIT_EMPTY) == 0u) {
    }
    UART_TRANSMIT_DATA = value;
}
