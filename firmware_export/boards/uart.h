/* What the serial program needs of a UART; uart_<kind>.c is one. UART_ORIGIN is its address. */
#ifndef EDGEPRUNE_UART_H
#define EDGEPRUNE_UART_H

#include <stdint.h>

/* Switches receiver and transmitter on. */
void uart_start(void);

/* Waits for the next byte. */
uint8_t uart_read(void);

/* Waits until the byte can be handed over. */
void uart_write(uint8_t value);

#endif
