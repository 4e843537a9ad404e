"""The words of the pages, in the languages that templates ship in."""

from __future__ import annotations

CHANNELS: dict[str, dict[str, str]] = {
    "en": {
        "email": "e-mail",
        "sms": "text message",
        "whatsapp": "WhatsApp",
        "telegram": "Telegram",
        "push": "push message",
        "phone": "telephone",
    },
    "es": {
        "email": "correo electrónico",
        "sms": "SMS",
        "whatsapp": "WhatsApp",
        "telegram": "Telegram",
        "push": "notificación",
        "phone": "teléfono",
    },
    "pt": {
        "email": "e-mail",
        "sms": "SMS",
        "whatsapp": "WhatsApp",
        "telegram": "Telegram",
        "push": "notificação",
        "phone": "telefone",
    },
}
PURPOSES: dict[str, dict[str, str]] = {
    "en": {"marketing": "advertising", "service": "service messages", "collections": "payment reminders"},
    "es": {"marketing": "publicidad", "service": "avisos de servicio", "collections": "recordatorios de pago"},
    "pt": {"marketing": "publicidade", "service": "avisos de serviço", "collections": "lembretes de pagamento"},
}
LEAVING: dict[str, dict[str, str]] = {
    "en": {
        "title": "Unsubscribe",
        "asks": "Do you want to receive no more {purpose} by {channel}?",
        "this": "Stop {purpose} by {channel}",
        "all": "Stop all {purpose}",
        "service": "You will still receive messages that your membership needs, such as answers to a complaint.",
        "done_title": "Done",
        "done": "From now on you will receive no more {purpose} by {channel}.",
        "done_all": "From now on you will receive no more {purpose}, on any channel.",
        "unknown_title": "This link does not work",
        "unknown": "Please open the link from a message of ours again, or answer that message with the word STOP.",
    },
    "es": {
        "title": "Darse de baja",
        "asks": "¿Quiere dejar de recibir {purpose} por {channel}?",
        "this": "No recibir {purpose} por {channel}",
        "all": "No recibir {purpose} por ningún medio",
        "service": "Seguirá recibiendo los mensajes que su afiliación requiere, como la respuesta a una reclamación.",
        "done_title": "Hecho",
        "done": "Desde ahora no recibirá más {purpose} por {channel}.",
        "done_all": "Desde ahora no recibirá más {purpose} por ningún medio.",
        "unknown_title": "Este enlace no funciona",
        "unknown": "Abra de nuevo el enlace de un mensaje nuestro, o responda a ese mensaje con la palabra BAJA.",
    },
    "pt": {
        "title": "Cancelar o recebimento",
        "asks": "Deseja deixar de receber {purpose} por {channel}?",
        "this": "Não receber {purpose} por {channel}",
        "all": "Não receber {purpose} por nenhum meio",
        "service": "Você continuará recebendo as mensagens necessárias ao programa, como a resposta a uma reclamação.",
        "done_title": "Pronto",
        "done": "A partir de agora você não receberá mais {purpose} por {channel}.",
        "done_all": "A partir de agora você não receberá mais {purpose} por nenhum meio.",
        "unknown_title": "Este link não funciona",
        "unknown": "Abra de novo o link de uma mensagem nossa, ou responda a essa mensagem com a palavra SAIR.",
    },
}
CONFIRMING: dict[str, dict[str, str]] = {
    "en": {
        "title": "Please confirm",
        "asks": "Do you want to receive {purpose} from us by {channel}?",
        "yes": "Yes, I confirm",
        "otherwise": "If you did not ask for it, close this page: nothing will be sent.",
        "done_title": "Confirmed",
        "done": "Thank you. From now on you may receive {purpose} from us by {channel}. Each message holds a way out.",
        "over_title": "There is nothing to confirm here",
        "over": "The time is over, or it was asked for anew or taken back. Please ask for our messages again.",
    },
    "es": {
        "title": "Confirme, por favor",
        "asks": "¿Quiere recibir {purpose} nuestra por {channel}?",
        "yes": "Sí, lo confirmo",
        "otherwise": "Si no lo ha pedido usted, cierre esta página: no se enviará nada.",
        "done_title": "Confirmado",
        "done": "Gracias. Desde ahora puede recibir {purpose} nuestra por {channel}. Cada mensaje dice cómo dejarla.",
        "over_title": "Aquí no hay nada que confirmar",
        "over": "El plazo ha pasado, o se pidió de nuevo o se retiró. Pida otra vez nuestros mensajes, por favor.",
    },
    "pt": {
        "title": "Confirme, por favor",
        "asks": "Deseja receber {purpose} nossa por {channel}?",
        "yes": "Sim, confirmo",
        "otherwise": "Se não fez este pedido, feche esta página: nada será enviado.",
        "done_title": "Confirmado",
        "done": "Obrigado. A partir de agora pode receber {purpose} nossa por {channel}. Cada mensagem diz como sair.",
        "over_title": "Não há nada a confirmar aqui",
        "over": "O prazo passou, ou foi pedido de novo ou retirado. Peça outra vez as nossas mensagens, por favor.",
    },
}
