{# The moment up to which the copy holds everything; now where nobody says. #}
{% macro as_of() -%}
    {% set moment = env_var('SWITCHDESK_DBT_AS_OF', '') -%}
    {% if moment %}'{{ moment }}'::timestamptz{% else %}now(){% endif %}
{%- endmacro %}
